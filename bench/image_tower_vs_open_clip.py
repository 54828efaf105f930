"""Image towers of promptd and of open_clip, eager, in turns in one run.

usage: image_tower_vs_open_clip.py BUILD_DIR [--models ViT-B-32,RN50]
                                   [--batch 32] [--rounds 5] [--threads 2]

Both sides compute the same random weights in float32 with the same number of
threads. A round runs one side, then the other; the ratio is that of the median
rates. Wants open_clip (tools/goldens/requirements.txt) and up to 1 GB of disk
in a temporary folder.
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

SECONDS = 6


def ours(program, folder, batch, threads):
    """(images/s, share of the packed matrix product's rate)."""
    done = subprocess.run(
        [program, f"--benchmark_filter=BM_ImageTower/{batch}/",
         f"--benchmark_min_time={SECONDS}", "--benchmark_format=json"],
        env={**os.environ, "OMP_NUM_THREADS": str(threads),
             "PROMPTD_BENCH_ENCODER": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    run = json.loads(done.stdout)["benchmarks"][0]
    return run["images/s"], run["of_gemm_limit"]


@torch.inference_mode()
def theirs(model, batch):
    """images/s of open_clip's encode_image."""
    side = model.visual.image_size
    side = side[0] if isinstance(side, tuple) else side
    pixels = torch.randn(batch, 3, side, side)
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
            model = reference.load_folder(encoder)[0]
            rounds = [(ours(program, encoder, args.batch, args.threads),
                       theirs(model, args.batch))
                      for _ in range(args.rounds)]
            mine = statistics.median(r[0][0] for r in rounds)
            share = statistics.median(r[0][1] for r in rounds)
            other = statistics.median(r[1] for r in rounds)
            print(f"{name}: promptd {mine:.1f} images/s ({100 * share:.0f} % "
                  f"of the matrix product's rate), open_clip {other:.1f}, "
                  f"ratio {mine / other:.2f}", flush=True)
            del model


if __name__ == "__main__":
    main()
