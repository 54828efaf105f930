"""Image towers of promptd and of open_clip, eager, in turns in one run.

usage: image_tower_vs_open_clip.py BUILD_DIR [--models ViT-B-32,RN50]
                                   [--precisions float32,bfloat16]
                                   [--batch 32] [--rounds 5] [--threads 2]

Both sides compute the same random weights with the same number of threads, and
with all weights and activations in the same type. A round runs one side, then
the other; the ratio is that of the median rates, and the smallest and largest
of the rounds' ratios are given. Wants `scripts/setup parity` and up to 1 GB of
disk in a temporary folder.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools/goldens"))

import torch  # noqa: E402

import make_random_goldens  # noqa: E402
import reference  # noqa: E402

SECONDS = 4


def ours(program, folder, precision, batch, threads):
    """(images/s, share of the packed matrix product's rate)."""
    done = subprocess.run(
        [program, f"--benchmark_filter=BM_ImageTower/{batch}/",
         f"--benchmark_min_time={SECONDS}", "--benchmark_format=json"],
        env={**os.environ, "OMP_NUM_THREADS": str(threads),
             "PROMPTD_BENCH_ENCODER": str(folder),
             "PROMPTD_BENCH_PRECISION": precision},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    run = json.loads(done.stdout)["benchmarks"][0]
    return run["images/s"], run["of_gemm_limit"]


@torch.inference_mode()
def theirs(model, batch):
    """images/s of open_clip's encode_image."""
    side = model.visual.image_size
    side = side[0] if isinstance(side, tuple) else side
    pixels = torch.randn(batch, 3, side, side).to(
        next(model.parameters()).dtype)
    model.encode_image(pixels)
    images, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        model.encode_image(pixels)
        images += batch
    return images / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--models", default="ViT-B-32,RN50")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    program = str(args.build / "bench/image_tower_bench")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models.split(","):
            make_random_goldens.main(Path(folder), 1, [name])
            encoder = Path(folder) / name.lower()
            for precision in args.precisions.split(","):
                model = reference.load_folder(encoder)[0].to(
                    getattr(torch, precision))
                rounds = [(*ours(program, encoder, precision, args.batch,
                                 args.threads), theirs(model, args.batch))
                          for _ in range(args.rounds)]
                mine, share, other = map(statistics.median, zip(*rounds))
                ratios = [a / c for a, _, c in rounds]
                print(f"{name} {precision}: promptd {mine:.1f} images/s "
                      f"({100 * share:.0f} % of the packed matrix product's "
                      f"rate), open_clip {other:.1f}, ratio "
                      f"{mine / other:.2f} ({min(ratios):.2f} to "
                      f"{max(ratios):.2f})", flush=True)
                del model


if __name__ == "__main__":
    main()
