"""A training job by CoOp's recipe: promptd against PyTorch, in one run.

usage: coop_recipe.py BUILD_DIR [--model ViT-B-32] [--classes 10,100]
                      [--views 8,1] [--rounds 3] [--threads 2]

The recipe is the paper's: 16 shots, batches of 32, 200 epochs, a fresh random
crop and flip of every image in each epoch, a unified context of 16, the class
name at its end. Both sides have the same random weights and the same photos.
The official loop (coop_reference.py, float32) encodes the images of its batch
in every step and runs all classes at 77 tokens; promptd encodes views once, in
batches of 32, and packs the texts. A whole job of the official loop takes
hours to days on two cores, so this program measures the parts in turns, a
round of each side after the other, and computes the job from the medians:

  official        epochs x steps an epoch x (prepare + encode + step)
  promptd         images x views x (prepare + encode) / 32 + epochs x steps an
                  epoch x step

It prints every measured part and, for each number of classes and precision,
  (a) views = epochs, one job and one of 8 that share their views,
  (b) K views instead, with the same number of steps,
  (c) steps alone, against a PyTorch loop that caches features too; and the
      whole job with K views cached on both sides.
Prepare is decoding, a random crop and flip, resizing and normalising. On a
machine that others use, set OMP_WAIT_POLICY=passive: threads that spin cost the
other side. Wants `scripts/setup parity`, 1 GB of disk in a temporary folder and
8 GB of memory.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import coop_reference as official
import torch

sys.path.insert(0, str(official.ROOT / "tools/goldens"))
import make_random_goldens  # noqa: E402

SHOTS, BATCH, EPOCHS, JOBS = 16, 32, 200, 8
PRECISIONS = ("float32", "bfloat16")
STEPS = {10: 5, 100: 2}  # promptd's, each round


class Side:
    """promptd's parts, from coop_side."""

    def __init__(self, program, folder, precision, threads):
        self.process = subprocess.Popen(
            [program, str(folder), precision], text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        """One number, or seconds and seconds of processor time."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("coop_side ended: see its message above")
        numbers = [float(number) for number in answer.split()]
        return numbers if len(numbers) > 1 else numbers[0]


def write_photos(folder):
    """32 smooth JPEGs with some noise, of a photo's usual size."""
    noise = np.random.default_rng(1)
    paths = []
    for i in range(BATCH):
        coarse = noise.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        photo = np.asarray(Image.fromarray(coarse).resize(
            (500, 375), Image.BICUBIC)).astype(np.int16)
        photo = np.clip(photo + noise.integers(-12, 13, photo.shape), 0, 255)
        paths.append(folder / f"{i}.jpg")
        Image.fromarray(photo.astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def random_view(path, side, rng):
    """RandomResizedCrop (0.08 to 1, bicubic), flip, normalise: [3, S, S]."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1)
        ratio = (3 / 4) * (16 / 9) ** rng.random()
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if w <= width and h <= height:
            break
    else:
        w = h = min(width, height)
    left, top = rng.randint(0, width - w), rng.randint(0, height - h)
    image = image.resize((side, side), Image.BICUBIC,
                         box=(left, top, left + w, top + h))
    if rng.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    cfg = make_random_goldens.PREPROCESS_CFG
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(cfg["mean"]).view(3, 1, 1)
            ) / torch.tensor(cfg["std"]).view(3, 1, 1)


class Parts(dict):
    """[wall, processor] seconds of each named part, a list over the rounds."""

    def add(self, name, seconds):
        self.setdefault(name, []).append(seconds)

    def median(self, name, clock):
        return statistics.median(seconds[clock] for seconds in self[name])

    def line(self, who):
        texts = []
        for name, rounds in self.items():
            walls = [1e3 * wall for wall, _ in rounds]
            texts.append(f"{name} {statistics.median(walls):.0f} ms "
                         f"({min(walls):.0f} to {max(walls):.0f}; processor "
                         f"{1e3 * self.median(name, 1):.0f})")
        return f"{who}: {', '.join(texts)}"


def timed(call):
    """[wall, processor] seconds."""
    processor = time.process_time()
    wall = official.timed(call)
    return [wall, time.process_time() - processor]


def image_round(parts, sides, model, photos, threads):
    side = model.visual.image_size
    side = side if isinstance(side, int) else side[0]
    rng = random.Random(1)
    with ThreadPoolExecutor(threads) as pool:
        views = []
        parts["official"].add("prepare", timed(lambda: views.extend(
            pool.map(lambda path: random_view(path, side, rng), photos))))
    pixels = torch.stack(views)
    parts["official"].add("encode", timed(
        lambda: official.image_features(model, pixels)))
    for precision, process in sides.items():
        parts[precision].add("prepare", process.ask("prepare"))
        parts[precision].add("encode", process.ask("encode"))


def step_round(parts, sides, run, classes):
    model, learner, optimizer, images, labels = run
    parts["official"].add(f"step {classes}", timed(
        lambda: official.step(model, learner, optimizer, images, labels)))
    for precision, process in sides.items():
        for _ in range(STEPS.get(classes, 3)):
            parts[precision].add(f"step {classes}", process.ask("step"))


def measure(args, folder, encoder):
    model, tokenizer = official.load(encoder)
    sides = {p: Side(str(args.build / "bench/coop_side"), encoder, p,
                     args.threads) for p in PRECISIONS}
    photos = write_photos(folder)
    (folder / "photos").write_text("\n".join(map(str, photos)))
    parts = {who: Parts() for who in ("official", *PRECISIONS)}
    warm = {who: Parts() for who in parts}
    for process in sides.values():
        process.ask("images", folder / "photos")
    for i in range(args.rounds + 1):
        image_round(parts if i else warm, sides, model, photos, args.threads)
    images = torch.nn.functional.normalize(
        torch.randn(BATCH, model.text_projection.shape[1]), dim=-1)
    for classes in args.classes:
        names = official.class_names(classes)
        (folder / "names").write_text("\n".join(names))
        for process in sides.values():
            process.ask("classes", folder / "names")
            process.ask("step")  # packs the transposes
        learner = official.PromptLearner(model, tokenizer, names)
        optimizer = official.sgd(learner)
        labels = torch.arange(BATCH) % classes
        for i in range(args.rounds):
            step_round(parts, sides, (model, learner, optimizer, images,
                                      labels), classes)
        del learner, optimizer
    return parts


def ratios(args, parts, classes, precision, clock):
    """The official job over promptd's: (a), (a) of 8 jobs, (c) steps, then (b)
    and (c) jobs of each number of views; and the official job's seconds."""
    images = SHOTS * classes
    steps = EPOCHS * (images // BATCH)

    def costs(who):
        view = sum(parts[who].median(name, clock)
                   for name in ("prepare", "encode")) / BATCH
        return view, steps * parts[who].median(f"step {classes}", clock)

    view, text = costs("official")
    my_view, my_text = costs(precision)
    whole = steps * BATCH * view + text
    fresh = images * EPOCHS * my_view
    found = [whole / (fresh + my_text), whole / (fresh / JOBS + my_text),
             text / my_text]
    for views in args.views:
        few = images * views * my_view + my_text
        found += [whole / few, (images * views * view + text) / few]
    return found, whole


def report(args, parts, classes):
    whole = ratios(args, parts, classes, PRECISIONS[0], 0)[1]
    print(f"\n{classes} classes, {SHOTS * classes} images, "
          f"{EPOCHS * (SHOTS * classes // BATCH)} steps; official job "
          f"{whole / 3600:.2f} h, computed. Ratios of wall times (of processor "
          f"times):")
    for precision in PRECISIONS:
        one, shared, steps, *jobs = (
            f"{wall:.1f}x ({processor:.1f}x)" for wall, processor in
            zip(*(ratios(args, parts, classes, precision, clock)[0]
                  for clock in (0, 1))))
        print(f"  {precision}: (a) views = epochs: one job {one}, a job of "
              f"{JOBS} that share views {shared}; (c) features cached on both "
              f"sides: steps {steps}")
        for views, few, cached in zip(args.views, jobs[::2], jobs[1::2]):
            print(f"    views = {views}: (b) {few}; (c) whole job {cached}",
                  flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--classes", default="10,100")
    parser.add_argument("--views", default="8,1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.classes = [int(c) for c in args.classes.split(",")]
    args.views = [int(k) for k in args.views.split(",")]
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_random_goldens.main(folder, 1, [args.model])
        parts = measure(args, folder, folder / args.model.lower())
    print(f"{args.model}, {SHOTS} shots, batch {BATCH}, {EPOCHS} epochs, "
          f"{args.threads} threads; medians (smallest to largest) of what was "
          f"measured; jobs are computed from them")
    for who, measured in parts.items():
        print(measured.line(who))
    for classes in args.classes:
        report(args, parts, classes)


if __name__ == "__main__":
    main()
