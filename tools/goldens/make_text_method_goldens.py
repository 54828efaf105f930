"""Zero-shot classifiers and short runs on text features in PyTorch.

usage: make_text_method_goldens.py OUT_DIR

OUT_DIR holds what make_coop_goldens.py wrote: its encoder, images and labels
are used again. Zero-shot weights come from open_clip's own
build_zero_shot_classifier; the bias and the linear map of the text features
are learned with autograd and torch.optim.SGD, with the draws and the rates of
make_coop_goldens.py. Writes OUT_DIR/text_methods.safetensors.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import make_coop_goldens as coop
import reference
from portable_random import Random

TEMPLATES = ["a photo of a {}.", "{}", "itap of my {}.", "art of the {}"]
# More than run through the tower at once.
MANY = [f"number {i} of the {{}}." for i in range(70)]


def zero_shot(model, tokenizer, templates):
    """[C, E], unit rows."""
    names = [name.replace("_", " ") for name in coop.CLASSES]
    weights = reference.import_open_clip().build_zero_shot_classifier(
        model, tokenizer, names,
        [lambda name, text=text: text.replace("{}", name)
         for text in templates], num_classes_per_batch=None)
    return weights.t().contiguous()


def train(model, text, images, labels, start, weights_of):
    """weights_of(text, parameter) -> [C, E], of any length."""
    random = Random(coop.SPEC["seed"])
    parameter = start.clone().requires_grad_(True)
    optimizer = torch.optim.SGD(
        [parameter], lr=1, momentum=coop.SPEC["momentum"],
        weight_decay=coop.SPEC["weight_decay"])
    size = coop.SPEC["batch_size"]
    unit_images = F.normalize(images, dim=-1)
    losses, parameters = [], []
    for epoch in range(coop.SPEC["epochs"]):
        order = random.permutation(len(labels))
        optimizer.param_groups[0]["lr"] = coop.learning_rate(epoch)
        for first in range(0, len(labels) - size + 1, size):
            rows = order[first:first + size]
            weights = F.normalize(weights_of(text, parameter), dim=-1)
            logits = model.logit_scale.exp() * unit_images[rows] @ weights.t()
            loss = F.cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            parameters.append(parameter.detach().clone())
    head = F.normalize(weights_of(text, parameters[-1]), dim=-1)
    return {"losses": torch.tensor(losses),
            "parameters": torch.stack(parameters), "head": head}


def main(out):
    torch.set_num_threads(1)
    model, _, merges = reference.load_folder(out / "tiny")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    given = load_file(out / "coop.safetensors")
    images, labels = given["images"], given["labels"].long()
    with reference.without_ftfy():
        tokenizer = reference.tokenizer(merges)
        text = zero_shot(model, tokenizer, TEMPLATES)
        many = zero_shot(model, tokenizer, MANY)
    classes, dim = text.shape
    runs = {
        "text_bias.unified": (torch.zeros(dim), lambda t, b: t + b),
        "text_bias.csc": (torch.zeros(classes, dim), lambda t, b: t + b),
        "text_transform": (torch.eye(dim), lambda t, w: t @ w.t()),
    }
    tensors = {"zero_shot": text, "zero_shot_many": many}
    for name, (start, weights_of) in runs.items():
        run = train(model, text, images, labels, start, weights_of)
        if start.dim() == 2:  # each step of a matrix would be a large file
            run["parameters"] = run["parameters"][-1:]
        tensors |= {f"{name}.{key}": value for key, value in run.items()}
        print(name, "loss", run["losses"][0].item(), "->",
              run["losses"][-1].item(), "moved",
              (run["parameters"][-1] - start).abs().max().item())
    path = out / "text_methods.safetensors"
    save_file({key: value.float().contiguous()
               for key, value in tensors.items()}, path,
              metadata={"templates": json.dumps(TEMPLATES),
                        "many": json.dumps(MANY)})
    path.chmod(0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
