"""A short CoOp run in PyTorch, and scores from scikit-learn.

usage: make_coop_goldens.py OUT_DIR

The context is learned as CoOp's authors do it: all 77 tokens of every class
through open_clip's text tower, autograd, torch.optim.SGD, one rate an epoch.
The random numbers are those that common/random.h documents, by
portable_random.py. Writes OUT_DIR/coop.safetensors (each step of a unified context with the
name at its end), OUT_DIR/coop_options.safetensors (the end of a run of every
other kind), OUT_DIR/coop_views.safetensors (runs with other features in each
epoch, and the epochs that validation picks) and OUT_DIR/scores.json.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import reference
from portable_random import Random

MERGES = 40
MODEL_CFG = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"layers": [1, 1, 1, 1], "width": 2, "image_size": 32,
                   "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 512 + MERGES + 2,
                 "width": 64, "heads": 4, "layers": 3},
}
PREPROCESS_CFG = {"mean": [0.48145466, 0.4578275, 0.40821073],
                  "std": [0.26862954, 0.26130258, 0.27577711],
                  "interpolation": "bicubic", "resize_mode": "shortest"}
CLASSES = ["cat", "red_apple", "kite (bird of prey)", "dog"]
SPEC = {"context_tokens": 4, "epochs": 6, "batch_size": 8,
        "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4,
        "warmup_epochs": 1, "warmup_learning_rate": 1e-5, "seed": 7}
IMAGES = 29  # three batches an epoch, five images left out


@torch.no_grad()
def write_encoder(folder):
    """A tiny CLIP with every parameter random."""
    folder.mkdir(parents=True, exist_ok=True)
    model = reference.build(MODEL_CFG)
    reference.randomise(model, torch.Generator().manual_seed(11))
    save_file({name: value.clone().contiguous()
               for name, value in model.state_dict().items()},
              folder / reference.WEIGHTS, metadata={"format": "pt"})
    (folder / reference.WEIGHTS).chmod(0o644)
    (folder / reference.CONFIG).write_text(json.dumps(
        {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}, indent=2)
        + "\n")
    (folder / reference.MERGES).write_text(reference.clip_merges(MERGES),
                                           encoding="utf-8")


def encode(model, embedded, eot):
    """open_clip's encode_text from token embeddings on."""
    x = embedded + model.positional_embedding
    x = model.transformer(x, attn_mask=model.attn_mask)
    x = model.ln_final(x)[torch.arange(len(eot)), eot]
    return x @ model.text_projection


def learning_rate(epoch, spec=SPEC):
    """Dassl's ConstantWarmupScheduler in front of CosineAnnealingLR."""
    if epoch < spec["warmup_epochs"]:
        return spec["warmup_learning_rate"]
    phase = math.pi * (epoch - spec["warmup_epochs"]) / spec["epochs"]
    return spec["learning_rate"] / 2 * (1 + math.cos(phase))


def assemble(embedded, context, name_tokens, position):
    """PromptLearner.forward of the authors' trainers/coop.py: embedded
    [C, L, W], context [M, W] or [C, M, W] -> prompts [C, L, W]."""
    if context.dim() == 2:
        context = context.expand(len(embedded), -1, -1)
    m = context.shape[1]
    before = {"end": m, "middle": m // 2, "front": 0}[position]
    rows = []
    for row, vectors, count in zip(embedded, context, name_tokens):
        rows.append(torch.cat([row[:1], vectors[:before],
                               row[1 + m:1 + m + count], vectors[before:],
                               row[1 + m + count:]]))
    return torch.stack(rows)


def train(model, tokenizer, views, labels, position="end",
          class_specific=False, validation=None):
    """views: [N, E] features each; epoch e takes views[e % len(views)].
    validation: features and labels that pick an epoch as Dassl's best_val."""
    m, width = SPEC["context_tokens"], model.token_embedding.weight.shape[1]
    shape = [len(CLASSES), m, width] if class_specific else [m, width]
    random = Random(SPEC["seed"])
    context = torch.tensor(
        [0.02 * random.normal() for _ in range(math.prod(shape))],
        dtype=torch.float64).float().view(shape)
    out = {"initial_context": context.clone()}
    context.requires_grad_(True)
    names = [name.replace("_", " ") for name in CLASSES]
    name_tokens = [len(tokenizer.encode(name)) for name in names]
    ids = tokenizer(["X " * m + name + "." for name in names])
    eot = ids.argmax(-1)
    embedded = model.token_embedding(ids).detach()

    def text_features(context):
        prompts = assemble(embedded, context, name_tokens, position)
        return F.normalize(encode(model, prompts, eot), dim=-1)

    optimizer = torch.optim.SGD([context], lr=1, momentum=SPEC["momentum"],
                                weight_decay=SPEC["weight_decay"])
    size = SPEC["batch_size"]
    rates, losses, contexts, accuracies = [], [], [], []
    for epoch in range(SPEC["epochs"]):
        unit_images = F.normalize(views[epoch % len(views)], dim=-1)
        order = random.permutation(len(labels))
        rates.append(learning_rate(epoch))
        optimizer.param_groups[0]["lr"] = rates[-1]
        for first in range(0, len(labels) - size + 1, size):
            rows = order[first:first + size]
            logits = (model.logit_scale.exp() * unit_images[rows]
                      @ text_features(context).t())
            loss = F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            contexts.append(context.detach().clone())
        if validation:
            answers = F.normalize(validation[0], dim=-1) @ text_features(
                context).detach().t()
            accuracies.append((answers.argmax(-1) == validation[1])
                              .float().mean().item())
            if accuracies[-1] > max(accuracies[:-1], default=-1):
                out["best_epoch"] = torch.tensor([float(epoch + 1)])
                out["best_context"] = contexts[-1]
    if validation:
        out["validation_accuracies"] = torch.tensor(accuracies)
    out["contexts"] = torch.stack(contexts)
    out["losses"] = torch.tensor(losses)
    out["learning_rates"] = torch.tensor(rates, dtype=torch.float64).float()
    out["text_features"] = text_features(contexts[-1]).detach()
    return out


def train_options(model, tokenizer, images, labels):
    """Every position and kind of context; what the last step left."""
    out = {}
    for class_specific in (False, True):
        for position in ("end", "middle", "front"):
            run = train(model, tokenizer, [images], labels, position,
                        class_specific)
            name = f"{position}.{'csc' if class_specific else 'unified'}"
            out[f"{name}.initial_context"] = run["initial_context"]
            out[f"{name}.context"] = run["contexts"][-1]
            out[f"{name}.losses"] = run["losses"]
            out[f"{name}.text_features"] = run["text_features"]
    return out


def train_views(model, tokenizer, centres, labels):
    """Other features in each epoch: a fresh view, and three in a cycle; and
    the epoch that hard validation images pick."""
    generator = torch.Generator().manual_seed(4)

    def noisy(of, noise):
        return centres[of] + noise * torch.randn(
            len(of), centres.shape[1], generator=generator)

    views = [noisy(labels, 1.5) for _ in range(SPEC["epochs"])]
    truth = torch.arange(40) % len(CLASSES)
    validation = noisy(truth, 4.0), truth
    out = {"views": torch.stack(views), "labels": labels.float(),
           "validation_images": validation[0],
           "validation_labels": truth.float()}
    for name, some in (("epochs", views), ("cycle", views[:3])):
        run = train(model, tokenizer, some, labels, validation=validation)
        out |= {f"{name}.{key}": run[key] for key in (
            "losses", "best_epoch", "best_context", "validation_accuracies")}
        out[f"{name}.context"] = run["contexts"][-1]
        print(name, "validation", run["validation_accuracies"].tolist())
    return out


def scores(generator):
    """A case with an absent class, scored by scikit-learn and numpy."""
    import numpy as np
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
    images = torch.randn(60, 6, generator=generator)
    text = F.normalize(torch.randn(5, 6, generator=generator), dim=-1)
    labels = torch.randint(0, 4, (60,), generator=generator)  # no class 4
    scale = 4.0
    logits = scale * F.normalize(images.double(), dim=-1) @ text.double().t()
    confidence, answer = (t.numpy() for t in logits.softmax(-1).max(-1))
    truth = labels.numpy()
    bins = np.minimum((confidence * 15).astype(int), 14)
    ece = sum(abs(confidence[bins == b].mean() -
                  (answer == truth)[bins == b].mean()) * (bins == b).mean()
              for b in set(bins))
    return {"images": images.tolist(), "text": text.tolist(),
            "labels": truth.tolist(), "scale": scale,
            "accuracy": accuracy_score(truth, answer),
            "macro_f1": f1_score(truth, answer, average="macro",
                                 labels=np.unique(truth)),
            "ece": float(ece),
            "confusion": confusion_matrix(
                truth, answer, labels=range(5)).tolist()}


def main(out):
    torch.set_num_threads(1)
    write_encoder(out / "tiny")
    model, _, merges = reference.load_folder(out / "tiny")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    dim = model.text_projection.shape[1]
    labels = torch.arange(IMAGES) % len(CLASSES)
    centres = torch.randn(len(CLASSES), dim, generator=generator)
    images = centres[labels] + 0.7 * torch.randn(IMAGES, dim,
                                                 generator=generator)
    with reference.without_ftfy():
        tokenizer = reference.tokenizer(merges)
        learned = train(model, tokenizer, [images], labels)
        options = train_options(model, tokenizer, images, labels)
        views = train_views(model, tokenizer, centres, labels)
    learned["images"] = images
    learned["labels"] = labels.float()
    save_file({key: value.float().contiguous()
               for key, value in learned.items()}, out / "coop.safetensors",
              metadata={"spec": json.dumps(SPEC),
                        "classes": json.dumps(CLASSES)})
    save_file({key: value.contiguous() for key, value in options.items()},
              out / "coop_options.safetensors")
    save_file({key: value.contiguous() for key, value in views.items()},
              out / "coop_views.safetensors")
    for name in ("coop.safetensors", "coop_options.safetensors",
                 "coop_views.safetensors"):
        (out / name).chmod(0o644)
    (out / "scores.json").write_text(json.dumps(scores(generator)) + "\n")
    print("loss", learned["losses"][0].item(), "->",
          learned["losses"][-1].item())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
