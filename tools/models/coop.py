"""CoOp, the linear probe and zero-shot on cached features, for the report.

This is a small reference in Python of what promptd learns in C++: a unified
context with the class name at the end, on a frozen encoder.
"""

import math
import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import clip_model

PLAIN_RATE = 0.002  # at a logit scale of 100; see rate()
EPOCHS = {1: 50, 2: 100, 4: 100, 8: 200, 16: 200}
BATCH = 32


def rate(model):
    """CoOp's learning rate, in proportion to how steep the logits are."""
    return PLAIN_RATE * 100 / model.logit_scale.exp().item()


def preprocess(path, cfg):
    """Resize the shorter edge, centre crop, normalise: [3, S, S]."""
    side = cfg["model_cfg"]["vision_cfg"]["image_size"]
    image = Image.open(path).convert("RGB")
    width, height = image.size
    scale = side / min(width, height)
    image = image.resize((max(side, int(width * scale)),
                          max(side, int(height * scale))), Image.BICUBIC)
    left = round((image.width - side) / 2)
    top = round((image.height - side) / 2)
    image = image.crop((left, top, left + side, top + side))
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean = torch.tensor(cfg["preprocess_cfg"]["mean"]).view(3, 1, 1)
    std = torch.tensor(cfg["preprocess_cfg"]["std"]).view(3, 1, 1)
    return (x - mean) / std


@torch.no_grad()
def load_split(model, cfg, folder):
    """-> (class names, features [N, E] raw, labels [N], paths)."""
    names = sorted(p.name for p in Path(folder).iterdir())
    paths = [p for n in names for p in sorted((Path(folder) / n).iterdir())]
    labels = torch.tensor([names.index(p.parent.name) for p in paths])
    out = [model.encode_image(torch.stack([preprocess(p, cfg) for p in part]))
           for part in (paths[i:i + 128] for i in range(0, len(paths), 128))]
    return names, torch.cat(out), labels, paths


def few_shot(labels, shots, rng):
    """CoOp's picks: random.sample per class, in order of appearance."""
    picked = []
    for label in dict.fromkeys(labels.tolist()):
        items = [i for i, l in enumerate(labels.tolist()) if l == label]
        picked += rng.sample(items, shots) if len(items) >= shots else items
    return picked


def text_features(model, tok, texts, contexts=None):
    """Unit text features after SOT and, if given, contexts [S, M, D]:
    [S, C, E], or [C, E] without contexts."""
    packed = clip_model.pack([tok.encode(t) + [tok.eot_token_id]
                              for t in texts], tok.eot_token_id)
    sot = model.token_embedding.weight[[tok.sot_token_id]]
    if contexts is None:
        return F.normalize(clip_model.encode_after_prefix(
            model, sot, *packed), dim=-1)
    count = len(contexts)
    prefix = torch.cat([sot.expand(count, -1, -1), contexts], 1)
    out = clip_model.encode_after_prefix(
        model, prefix, packed[0].repeat(count, 1), packed[1].repeat(count))
    return F.normalize(out, dim=-1).unflatten(0, (count, -1))


@torch.no_grad()
def zero_shot(model, tok, names, template, features, labels):
    """-> hits [N] as booleans."""
    texts = [template.format(name.replace("_", " ")) for name in names]
    weights = text_features(model, tok, texts)
    return (F.normalize(features, dim=-1) @ weights.T).argmax(1) == labels


def endings(names):
    return [name.replace("_", " ") + "." for name in names]


def coop(model, tok, names, features, labels, shots, seeds, tokens=16):
    """Learns one unified context per seed, all in step: [S, tokens, D].

    features [S, N, E] raw and labels [S, N] are the picks of each seed. The
    seeds do not touch each other: the sum of their losses has the gradient
    of each in its own context.
    """
    noise = [torch.Generator().manual_seed(seed) for seed in seeds]
    width = model.token_embedding.weight.shape[1]
    contexts = torch.stack([0.02 * torch.randn(tokens, width, generator=g)
                            for g in noise]).requires_grad_(True)
    top, total = rate(model), EPOCHS[shots]
    optimizer = torch.optim.SGD([contexts], lr=top, momentum=0.9,
                                weight_decay=5e-4)
    features = F.normalize(features, dim=-1)
    scale = model.logit_scale.exp().detach()
    texts, count = endings(names), labels.shape[1]
    for epoch in range(total):
        now = 1e-5 if epoch == 0 else (
            top / 2 * (1 + math.cos(math.pi * (epoch - 1) / total)))
        optimizer.param_groups[0]["lr"] = now
        order = torch.stack([torch.randperm(count, generator=g)
                             for g in noise])
        for start in range(0, count // BATCH * BATCH or count, BATCH):
            pick = order[:, start:start + BATCH]
            images = features.gather(
                1, pick[:, :, None].expand(-1, -1, features.shape[2]))
            weights = text_features(model, tok, texts, contexts)
            logits = scale * images @ weights.transpose(1, 2)
            loss = F.cross_entropy(logits.transpose(1, 2),
                                   labels.gather(1, pick), reduction="sum")
            optimizer.zero_grad()
            (loss / pick.shape[1]).backward()
            optimizer.step()
    return contexts.detach()


@torch.no_grad()
def coop_hits(model, tok, names, context, features, labels):
    weights = text_features(model, tok, endings(names), context[None])[0]
    return (F.normalize(features, dim=-1) @ weights.T).argmax(1) == labels


def linear_probe(train, train_labels, val, val_labels, test, test_labels):
    """Logistic regression on raw features; C by a grid of decades on the
    few-shot validation set, ties to the smaller C. -> hits [N]."""
    from sklearn.linear_model import LogisticRegression

    def fitted(c):
        return LogisticRegression(C=c, max_iter=1000).fit(
            train.numpy(), train_labels.numpy())

    best, model = -1.0, None
    for power in (-6, -5, -4, -3, -2):  # raw features are of norm 150
        now = fitted(10.0 ** power)
        score = now.score(val.numpy(), val_labels.numpy())
        if score > best:
            best, model = score, now
    return torch.from_numpy(model.predict(test.numpy())) == test_labels


def shots_of(train_labels, val_labels, shots, seed):
    """Indices of the training and validation picks of one seed."""
    rng = random.Random(seed)
    return (few_shot(train_labels, shots, rng),
            few_shot(val_labels, min(shots, 4), rng))
