"""promptd's final accuracy against that of CoOp in plain PyTorch, both timed
in one run, on the bundled tasks and the embedded encoder.

usage: coop_vs_reference.py BUILD_DIR [--work FOLDER] [--tasks things,food]
           [--shots 1,4,16] [--seeds 1,2,3] [--class-specific]
           [--position end] [-M 16] [--own-draws] [--cut] [--threads 2]

For each task, number of shots and seed, promptd trains by its defaults through
`promptctl train`; coop_reference.py trains on the same picks and the same
features (from `promptctl embed image`), all 77 tokens, autograd,
torch.optim.SGD. Both draw the start and the order of images by
common/random.h, so that only the mathematics can differ; --own-draws lets
PyTorch draw its own, and then accuracies scatter by the draw. --cut ends the
reference's texts behind the last EOT: the same numbers up to rounding in a
third of the time; the reference's time is then that of some steps with all 77
tokens. Finished runs are kept in FOLDER/results.json and not repeated. Prints
a Markdown table: accuracy in percent on the test split, means over the seeds.
Wants `scripts/setup parity`. All of it takes about half an hour on two cores,
nearly all of it the reference at 16 shots; --cut a third of that.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import coop_reference as reference
import local_promptd

sys.path.insert(0, str(reference.ROOT / "tools/goldens"))
from make_coop_goldens import Random  # noqa: E402

ENCODER = reference.ROOT / "models/embedded"
TIMED_STEPS = 5


def listing(folder):
    """(class names, paths, labels) of a split, in promptd's order."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir())
    paths = [p for name in names for p in sorted((folder / name).iterdir())]
    return names, paths, torch.tensor([names.index(p.parent.name)
                                       for p in paths])


def few_shot(labels, shots, seed):
    """CoOp's picks, as docs/life-of-a-job.md has them."""
    rng, labels = random.Random(seed), labels.tolist()
    picked = []
    for label in dict.fromkeys(labels):
        picked += rng.sample([i for i, other in enumerate(labels)
                              if other == label], shots)
    return picked


def embed(server, work, paths, name):
    """Unit features [N, E] of image files, computed by promptd."""
    out = work / f"{name}.safetensors"
    if not out.exists():
        server.json("embed", "image", *paths, "--out", out)
    return load_file(out)["features"]


class Draws:
    """Start and permutations: promptd's numbers, or PyTorch's own."""

    def __init__(self, seed, own):
        self.random = Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.own = own

    def normal(self, shape):
        if self.own:
            return torch.randn(shape, generator=self.generator)
        count = torch.Size(shape).numel()
        return torch.tensor([self.random.normal() for _ in range(count)],
                            dtype=torch.float64).view(shape)

    def order(self, count):
        if self.own:
            return torch.randperm(count, generator=self.generator)
        return torch.tensor(self.random.permutation(count))


def learner_of(args, model, tokenizer, names, draws):
    learner = reference.PromptLearner(
        model, tokenizer, names, args.context_tokens, args.position,
        args.class_specific)
    with torch.no_grad():
        learner.context.copy_(0.02 * draws.normal(learner.context.shape))
    return learner


def full_step_seconds(args, model, tokenizer, names, images, labels):
    """Median of a step with all 77 tokens."""
    learner = learner_of(args, model, tokenizer, names, Draws(1, True))
    optimizer = reference.sgd(learner)
    rows = torch.arange(min(32, len(labels)))
    return statistics.median(
        reference.timed(lambda: reference.step(
            model, learner, optimizer, images[rows], labels[rows]))
        for _ in range(TIMED_STEPS))


def run_reference(args, clip, data, rate, shots, seed):
    """(accuracy, seconds)."""
    model, tokenizer = clip
    names, train, train_labels, test, test_labels = data
    picks = few_shot(train_labels, shots, seed)
    images, labels = train[picks], train_labels[picks]
    draws = Draws(seed, args.own_draws)
    learner = learner_of(args, model, tokenizer, names, draws)
    if args.cut:
        learner.cut()
    epochs = reference.EPOCHS[shots]
    seconds = reference.timed(lambda: reference.train(
        model, learner, lambda _, rows: images[rows], labels, epochs, rate,
        draws.order))
    if args.cut:
        steps = epochs * (len(labels) // min(32, len(labels)))
        seconds = steps * full_step_seconds(args, model, tokenizer, names,
                                            images, labels)
    return reference.score(model, learner, test, test_labels), seconds


def run_promptd(args, server, task, shots, seed):
    flags = ["--class-position", args.position, "-M", args.context_tokens]
    if args.class_specific:
        flags.append("--class-specific")
    job = server.train(task, "--shots", shots, "--seed", seed, *flags)
    return (job["result"]["accuracy"], local_promptd.train_seconds(job),
            job["spec"]["learning_rate"])


class Results:
    """Finished runs by name, on disk."""

    def __init__(self, path):
        self.path = path
        self.runs = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key, run):
        if key not in self.runs:
            self.runs[key] = run()
            self.path.write_text(json.dumps(self.runs, indent=1))
        return self.runs[key]


def compare(args, server, work):
    clip = reference.load(ENCODER)
    server.push_tasks()
    results = Results(work / "results.json")
    kind = (f"{'csc' if args.class_specific else 'unified'}-{args.position}-"
            f"{args.context_tokens}{'-own' if args.own_draws else ''}")
    runs = {}
    for task in args.tasks:
        sides = [listing(local_promptd.TASKS / task / split)
                 for split in ("train", "test")]
        data = [sides[0][0]]
        for split, (_, paths, labels) in zip(("train", "test"), sides):
            data += [embed(server, work, paths, f"{task}-{split}"), labels]
        for shots in args.shots:
            for seed in args.seeds:
                key = f"{task}-{shots}-{seed}-{kind}"
                mine = results.get(f"promptd {key}", lambda: run_promptd(
                    args, server, task, shots, seed))
                other = results.get(
                    f"reference{' cut' if args.cut else ''} {key}",
                    lambda: run_reference(args, clip, data, mine[2], shots,
                                          seed))
                runs[task, shots, seed] = (mine, other)
                print(f"{key}: promptd {100 * mine[0]:.2f} % in "
                      f"{mine[1]:.1f} s, PyTorch {100 * other[0]:.2f} % in "
                      f"{other[1]:.1f} s", file=sys.stderr, flush=True)
    return runs


def table(args, runs):
    head = ["task"]
    for shots in args.shots:
        head += [f"promptd {shots}", f"PyTorch {shots}", "difference",
                 "time"]
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join(["---"] * len(head)) + " |")
    worst = 0.0
    for task in [*args.tasks, "mean"]:
        cells = [task]
        for shots in args.shots:
            picked = [run for (name, count, _), run in runs.items()
                      if count == shots and task in (name, "mean")]
            mine, other = (100 * statistics.mean(run[i][0] for run in picked)
                           for i in (0, 1))
            spent = [sum(run[i][1] for run in picked) for i in (0, 1)]
            cells += [f"{mine:.2f}", f"{other:.2f}", f"{mine - other:+.2f}",
                      f"{spent[1] / spent[0]:.1f}x"]
            if task == "mean":
                worst = max(worst, abs(mine - other))
        print("| " + " | ".join(cells) + " |")
    print(f"\nlargest difference of the means: {worst:.2f} points "
          f"({'within' if worst <= 0.5 else 'NOT within'} 0.5)")
    return worst <= 0.5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--tasks", default="")
    parser.add_argument("--shots", default="1,4,16")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--class-specific", action="store_true")
    parser.add_argument("--position", choices=reference.POSITIONS,
                        default="end")
    parser.add_argument("-M", "--context-tokens", type=int, default=16)
    parser.add_argument("--own-draws", action="store_true")
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.tasks = (args.tasks.split(",") if args.tasks
                  else local_promptd.task_names())
    args.shots = [int(shots) for shots in args.shots.split(",")]
    args.seeds = [int(seed) for seed in args.seeds.split(",")]
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        with local_promptd.start(args.build, work, "--threads",
                                 str(args.threads)) as server:
            runs = compare(args, server, work)
    return 0 if table(args, runs) else 1


if __name__ == "__main__":
    sys.exit(main())
