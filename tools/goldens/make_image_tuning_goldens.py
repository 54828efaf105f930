"""An image tower fine-tuned in PyTorch: open_clip's, in evaluation mode.

usage: make_image_tuning_goldens.py GOLDEN_DIR

GOLDEN_DIR is tests/golden. Everything under `visual` learns with autograd and
torch.optim.SGD; batch norms keep their statistics. Writes, of the encoders
clip/tiny and clip/tiny_vit on the pixels of their goldens,
clip/<encoder>_tuned.safetensors: what was learned from, the loss of each step,
the features afterwards. And learners/image_tuning.safetensors: a run of the
whole method on learners/tiny, with the draws and rates of make_coop_goldens.py.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import make_coop_goldens as coop
import make_text_method_goldens as texts
import reference
from portable_random import Random

STEPS = 3
RATE = 1e-3
MOMENTUM = 0.9
DECAY = 5e-4
RUN = {"epochs": 3, "batch_size": 5, "learning_rate": 2e-3}
IMAGES = 13  # two batches an epoch, three images left out


def learner(model):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in model.visual.parameters():
        parameter.requires_grad_(True)
    return torch.optim.SGD(model.visual.parameters(), lr=RATE,
                           momentum=MOMENTUM, weight_decay=DECAY)


def step(model, optimizer, pixels, labels, text):
    features = F.normalize(model.encode_image(pixels), dim=-1)
    loss = F.cross_entropy(model.logit_scale.exp() * features @ text.t(),
                           labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def save(path, tensors, metadata=None):
    save_file({key: value.detach().float().contiguous()
               for key, value in tensors.items()}, path, metadata=metadata)
    path.chmod(0o644)


def tower(folder, name):
    model, _, _ = reference.load_folder(folder / name)
    pixels = load_file(folder / f"{name}.safetensors")["pixels"].float()
    generator = torch.Generator().manual_seed(5)
    width = model.encode_image(pixels).shape[1]
    text = F.normalize(torch.randn(3, width, generator=generator), dim=-1)
    labels = torch.arange(len(pixels)) % 3
    optimizer = learner(model)
    losses = [step(model, optimizer, pixels, labels, text)
              for _ in range(STEPS)]
    print(name, "losses", losses)
    save(folder / f"{name}_tuned.safetensors",
         {"text": text, "labels": labels, "losses": torch.tensor(losses),
          "features": model.encode_image(pixels)},
         {"rate": repr(RATE), "momentum": repr(MOMENTUM),
          "decay": repr(DECAY)})


def pixels_of(count, side):
    """Pixel i of image n is sin(0.37 i + 1.7 n), as the test makes them."""
    i = np.arange(3 * side * side, dtype=np.float64)
    rows = [np.sin(0.37 * i + 1.7 * n) for n in range(count)]
    return torch.tensor(np.stack(rows).astype(np.float32)).view(
        count, 3, side, side)


def method(folder):
    model, _, merges = reference.load_folder(folder / "tiny")
    with reference.without_ftfy():
        text = texts.zero_shot(model, reference.tokenizer(merges),
                               texts.TEMPLATES)
    spec = coop.SPEC | RUN
    pixels = pixels_of(IMAGES, 32)
    labels = torch.arange(IMAGES) % len(coop.CLASSES)
    optimizer = learner(model)
    random = Random(spec["seed"])
    losses = []
    for epoch in range(spec["epochs"]):
        order = random.permutation(IMAGES)
        optimizer.param_groups[0]["lr"] = coop.learning_rate(epoch, spec)
        size = spec["batch_size"]
        for first in range(0, IMAGES - size + 1, size):
            rows = order[first:first + size]
            losses.append(step(model, optimizer, pixels[rows], labels[rows],
                               text))
    print("method losses", losses)
    save(folder / "image_tuning.safetensors",
         {"losses": torch.tensor(losses), "head": text,
          "features": model.encode_image(pixels)},
         {"run": json.dumps(RUN), "images": str(IMAGES)})


def main(golden):
    torch.set_num_threads(1)
    for name in ("tiny", "tiny_vit"):
        tower(golden / "clip", name)
    method(golden / "learners")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
