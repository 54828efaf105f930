"""promptd's methods other than CoOp against PyTorch, open_clip and
scikit-learn, on bundled tasks and the embedded encoder.

usage: tuning_vs_reference.py BUILD_DIR [--work FOLDER] [--tasks novel,food]
           [--shots 16] [--seeds 1] [--threads 1]

For each task and seed promptd trains every method by its defaults; the other
side learns from the same picks and the same features (`promptctl embed image`):

- zero_shot, ensemble: open_clip's features of all 77 tokens, one template and
  the paper's seven, averaged as open_clip's build_zero_shot_classifier does;
- text_bias, text_transform: autograd and torch.optim.SGD, images in the order
  of common/random.h, so that only the mathematics can differ;
- image_encoder: open_clip's `visual` in evaluation mode with all its parameters
  in torch.optim.SGD, on pixels that Pillow decoded, resized and cropped;
- class_prior: scipy's BFGS on the cosines;
- linear_probe: scikit-learn's LogisticRegression at the C that promptd chose.

--methods picks some of them. Prints a Markdown table of accuracies in percent on the test split; exit code 1
when a method's mean differs by more than 0.5 points. Wants `scripts/setup
parity`. A few minutes on one core.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

import coop_reference as reference
import coop_vs_reference as coop
import local_promptd

TEMPLATE = "a photo of a {}."
SEVEN = ["itap of a {}.", "a bad photo of the {}.", "a origami {}.",
         "a photo of the large {}.", "a {} in a video game.",
         "art of the {}.", "a photo of the small {}."]
PRIOR_PENALTY = 0.01  # kPriorPenalty of learners/class_prior.h
METHODS = ("zero_shot", "ensemble", "class_prior", "text_bias",
           "text_transform", "linear_probe", "image_encoder")


class Side:
    """A task's images as promptd sees them: raw and unit features."""

    def __init__(self, server, task, split):
        self.names, self.paths, self.labels = coop.listing(
            local_promptd.TASKS / task / split)
        told = server.json("embed", "image", *self.paths)["embeddings"]
        self.unit = torch.tensor([image["values"] for image in told])
        self.raw = self.unit * torch.tensor(
            [[image["norm"]] for image in told])


@torch.no_grad()
def text_weights(clip, names, templates):
    """Unit rows [C, E]."""
    model, tokenizer = clip
    rows = []
    for name in names:
        texts = [text.format(reference.plain(name)) for text in templates]
        features = F.normalize(model.encode_text(tokenizer(texts)), dim=-1)
        rows.append(F.normalize(features.mean(0), dim=-1))
    return torch.stack(rows)


def accuracy(logits, labels):
    return (logits.argmax(1) == labels).float().mean().item()


def descend(parameters, spec, seed, labels, logits):
    """SGD by promptd's defaults on logits(rows), [rows, C], of the images."""
    optimizer = torch.optim.SGD(parameters, lr=0.0, momentum=0.9,
                                weight_decay=5e-4)
    draws = coop.Draws(seed, False)
    count, batch = len(labels), min(32, len(labels))
    for epoch in range(spec["epochs"]):
        for group in optimizer.param_groups:
            group["lr"] = reference.learning_rate(epoch, spec["epochs"],
                                                  spec["learning_rate"])
        order = draws.order(count)
        for first in range(0, count - batch + 1, batch):
            rows = order[first:first + batch]
            loss = F.cross_entropy(logits(rows), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def tuned(method, clip, base, images, labels, test, job, seed):
    """Accuracy after SGD on what stands behind the text features."""
    scale = clip[0].logit_scale.exp()
    start = (torch.zeros(base.shape[1]) if method == "text_bias"
             else torch.eye(base.shape[1]))
    parameter = torch.nn.Parameter(start)

    def weights():
        moved = (base + parameter if method == "text_bias"
                 else base @ parameter.t())
        return F.normalize(moved, dim=-1)

    descend([parameter], job["spec"], seed, labels,
            lambda rows: scale * images[rows] @ weights().t())
    with torch.no_grad():
        return accuracy(test.unit @ weights().t(), test.labels)


def pixels(paths):
    """[N, 3, S, S] as the test transform of open_clip leaves images."""
    config = json.loads((coop.ENCODER / "open_clip_config.json").read_text())
    size = config["model_cfg"]["vision_cfg"]["image_size"]
    mean, std = (torch.tensor(config["preprocess_cfg"][key]).view(3, 1, 1)
                 for key in ("mean", "std"))
    rows = []
    for path in paths:
        image = Image.open(path).convert("RGB")
        scale = size / min(image.size)
        image = image.resize([max(size, int(side * scale))
                              for side in image.size], Image.BICUBIC)
        left, top = (round((side - size) / 2) for side in image.size)
        image = image.crop((left, top, left + size, top + size))
        values = torch.tensor(np.asarray(image), dtype=torch.float32)
        rows.append((values.permute(2, 0, 1) / 255 - mean) / std)
    return torch.stack(rows)


def tuned_tower(clip, base, images, labels, test, spec, seed):
    """Accuracy after SGD on the whole image tower."""
    model = copy.deepcopy(clip[0]).eval()
    scale = model.logit_scale.exp()
    for parameter in model.visual.parameters():
        parameter.requires_grad_(True)

    def logits(rows):
        features = F.normalize(model.encode_image(images[rows]), dim=-1)
        return scale * features @ base.t()

    descend(list(model.visual.parameters()), spec, seed, labels, logits)
    with torch.no_grad():
        seen = torch.cat([model.encode_image(part)
                          for part in pixels(test.paths).split(128)])
        return accuracy(F.normalize(seen, dim=-1) @ base.t(), test.labels)


def prior(clip, base, images, labels, test):
    scale = clip[0].logit_scale.exp()
    logits = (scale * images @ base.t()).double().numpy()
    truth = labels.numpy()
    rows = np.arange(len(truth))

    def loss(bias):
        z = log_softmax(logits + bias, axis=1)
        gradient = np.exp(z)
        gradient[rows, truth] -= 1
        return (-z[rows, truth].sum() + PRIOR_PENALTY / 2 * (bias ** 2).sum(),
                gradient.sum(0) + PRIOR_PENALTY * bias)

    best = minimize(loss, np.zeros(logits.shape[1]), jac=True, method="BFGS")
    return accuracy(scale * test.unit @ base.t() + torch.tensor(best.x),
                    test.labels)


def probe(images, labels, test, job):
    c = job["result"]["inverse_regularization"]
    model = LogisticRegression(C=c, max_iter=20_000, tol=1e-8).fit(
        images.numpy(), labels.numpy())
    return float((model.predict(test.raw.numpy()) ==
                  test.labels.numpy()).mean())


def train(server, task, method, shots, seed):
    flags = ["--task", f"{task}-{method}-{shots}-{seed}"]
    if method == "ensemble":
        return server.train(task, *flags, "--method", "zero_shot",
                            "--template-set", "coop7")
    flags += ["--method", method]
    if method != "zero_shot":
        flags += ["--shots", shots, "--seed", seed]
    return server.train(task, *flags)


def compare(args, server):
    clip = reference.load(coop.ENCODER)
    runs = {}
    for task in args.tasks:
        server.json("dataset", "push", local_promptd.TASKS / task)
        learned = Side(server, task, "train")
        test = Side(server, task, "test")
        base = text_weights(clip, learned.names, [TEMPLATE])
        for seed in args.seeds:
            picks = coop.few_shot(learned.labels, args.shots, seed)
            unit, labels = learned.unit[picks], learned.labels[picks]
            for method in args.methods:
                job = train(server, task, method, args.shots, seed)
                if method == "zero_shot":
                    other = accuracy(test.unit @ base.t(), test.labels)
                elif method == "ensemble":
                    other = accuracy(
                        test.unit @ text_weights(clip, learned.names,
                                                 SEVEN).t(), test.labels)
                elif method == "class_prior":
                    other = prior(clip, base, unit, labels, test)
                elif method == "linear_probe":
                    other = probe(learned.raw[picks], labels, test, job)
                elif method == "image_encoder":
                    shots = pixels([learned.paths[i] for i in picks])
                    other = tuned_tower(clip, base, shots, labels, test,
                                        job["spec"], seed)
                else:
                    other = tuned(method, clip, base, unit, labels, test, job,
                                  seed)
                runs[task, method, seed] = (job["result"]["accuracy"], other)
                print(task, method, seed, *runs[task, method, seed],
                      file=sys.stderr, flush=True)
    return runs


def table(args, runs):
    """Prints it; whether all is well."""
    print("| method | " + " | ".join(args.tasks) + " | mean difference |")
    print("| --- |" + " --- |" * (len(args.tasks) + 1))
    well = True
    for method in args.methods:
        cells, differences = [], []
        for task in args.tasks:
            mine, other = (100 * statistics.mean(
                runs[task, method, seed][i] for seed in args.seeds)
                for i in (0, 1))
            cells.append(f"{mine:.2f} / {other:.2f}")
            differences.append(mine - other)
        mean = statistics.mean(differences)
        well &= abs(mean) <= 0.5
        print(f"| {method} | " + " | ".join(cells) + f" | {mean:+.2f} |")
    print(f"\nmeans {'within' if well else 'NOT within'} 0.5 points")
    return well


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--tasks", default="novel,food,animals,clothes")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    args.tasks = args.tasks.split(",")
    args.methods = args.methods.split(",")
    args.seeds = [int(seed) for seed in args.seeds.split(",")]
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        with local_promptd.start(args.build, work, "--threads",
                                 str(args.threads)) as server:
            runs = compare(args, server)
    return 0 if table(args, runs) else 1


if __name__ == "__main__":
    sys.exit(main())
