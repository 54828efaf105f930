"""Memory of a job that learns a context for each of many classes, and its
longest sub-step.

usage: csc_memory.py BUILD_DIR [--model ViT-B-16] [--classes 1000]
                     [--steps 2] [--precision float32] [--threads 2]

Trains a class-specific context of 16 (learners/trainer, momentum and all) on a
text tower of the model's size with random weights and on random image
features, and prints the process's peak memory above what it had with the
weights in memory (both the layers and their transposes), and the longest time
that a unit of a step kept the device from serving (of the quickest step: other
load on the machine is not meant). Wants `scripts/setup parity`, 1 GB of
disk in a temporary folder and 4 GB of memory.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import coop_reference as official
from coop_recipe import Side

sys.path.insert(0, str(official.ROOT / "tools/goldens"))
import make_random_goldens  # noqa: E402

LIMIT = 2e9


def measure(args, folder, encoder):
    """(bytes above the weights, [wall, processor] seconds of the quickest
    step and of its longest unit)."""
    side = Side(str(args.build / "bench/coop_side"), encoder, args.precision,
                args.threads)
    few, many = folder / "few", folder / "many"
    few.write_text("\n".join(official.class_names(2)))
    many.write_text("\n".join(
        f"{name} {i}" for i, name in
        enumerate(official.class_names(args.classes))))
    side.ask("classes", few)
    side.ask("step")  # packs the transposes
    side.ask("longest")
    before = side.ask("resident")
    side.ask("reset")
    side.ask("csc", many)
    steps = [(side.ask("step"), side.ask("longest"))
             for _ in range(args.steps)]
    return (side.ask("peak") - before, *min(steps))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--model", default="ViT-B-16")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        make_random_goldens.main(folder, 1, [args.model])
        extra, step, longest = measure(args, folder,
                                       folder / args.model.lower())
    print(f"{args.model} {args.precision}, class-specific context of 16, "
          f"{args.classes} classes, {args.steps} steps: {extra / 1e9:.2f} GB "
          f"above the weights (limit {LIMIT / 1e9:.0f}), a step "
          f"{step[0]:.1f} s (processor time {step[1]:.1f}), its longest unit "
          f"{1e3 * longest[0]:.0f} ms (processor time "
          f"{1e3 * longest[1]:.0f}, by {args.threads} threads)")
    return 0 if extra <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
