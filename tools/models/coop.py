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


def text_features(model, tok, texts, context=None):
    """Unit text features of texts, after SOT and an optional context."""
    table = model.token_embedding.weight
    prefix = table[[tok.sot_token_id]]
    if context is not None:
        prefix = torch.cat([prefix, context])
    tokens = [tok.encode(t) + [tok.eot_token_id] for t in texts]
    return F.normalize(clip_model.encode_after_prefix(
        model, prefix, *clip_model.pack(tokens, tok.eot_token_id)), dim=-1)


@torch.no_grad()
def zero_shot(model, tok, names, template, features, labels):
    """-> hits [N] as booleans."""
    texts = [template.format(name.replace("_", " ")) for name in names]
    weights = text_features(model, tok, texts)
    return (F.normalize(features, dim=-1) @ weights.T).argmax(1) == labels


def coop(model, tok, names, features, labels, shots, seed, tokens=16,
         epochs=None):
    """Learns a context [tokens, D]; a unified one, class name at the end."""
    noise = torch.Generator().manual_seed(seed)
    width = model.token_embedding.weight.shape[1]
    context = (0.02 * torch.randn(tokens, width, generator=noise))
    context.requires_grad_(True)
    top = rate(model)
    optimizer = torch.optim.SGD([context], lr=top, momentum=0.9,
                                weight_decay=5e-4)
    features = F.normalize(features, dim=-1)
    scale = model.logit_scale.exp().detach()
    endings = [name.replace("_", " ") + "." for name in names]
    total = epochs or EPOCHS[shots]
    for epoch in range(total):
        now = 1e-5 if epoch == 0 else (
            top / 2 * (1 + math.cos(math.pi * (epoch - 1) / total)))
        optimizer.param_groups[0]["lr"] = now
        order = torch.randperm(len(labels), generator=noise)
        full = len(labels) // BATCH * BATCH or len(labels)
        for start in range(0, full, BATCH):
            pick = order[start:start + BATCH]
            weights = text_features(model, tok, endings, context)
            loss = F.cross_entropy(scale * features[pick] @ weights.T,
                                   labels[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return context.detach()


@torch.no_grad()
def coop_hits(model, tok, names, context, features, labels):
    endings = [name.replace("_", " ") + "." for name in names]
    weights = text_features(model, tok, endings, context)
    return (F.normalize(features, dim=-1) @ weights.T).argmax(1) == labels


def linear_probe(train, train_labels, val, val_labels, test, test_labels):
    """Logistic regression on raw features; C by a grid and then bisection
    on the few-shot validation set. -> hits [N]."""
    from sklearn.linear_model import LogisticRegression

    def fitted(c):
        return LogisticRegression(C=c, max_iter=1000).fit(
            train.numpy(), train_labels.numpy())

    def score(c):
        return fitted(c).score(val.numpy(), val_labels.numpy())

    grid = [1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6]
    peak = max(grid, key=score)
    low, high = math.log10(peak) - 1, math.log10(peak) + 1
    scores = score(10 ** low), score(10 ** high)
    for _ in range(8):
        middle = (low + high) / 2
        if scores[0] >= scores[1]:
            high, scores = middle, (scores[0], score(10 ** middle))
        else:
            low, scores = middle, (score(10 ** middle), scores[1])
    best = 10 ** (low if scores[0] >= scores[1] else high)
    guess = fitted(best).predict(test.numpy())
    return torch.from_numpy(guess) == test_labels


def shots_of(train_labels, val_labels, shots, seed):
    """Indices of the training and validation picks of one seed."""
    rng = random.Random(seed)
    return (few_shot(train_labels, shots, rng),
            few_shot(val_labels, min(shots, 4), rng))
