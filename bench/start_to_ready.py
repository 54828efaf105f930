"""How long promptd takes from its start until it serves, against what it
cannot do without: loading its libraries and reading the weights once.

usage: start_to_ready.py BUILD_DIR [--model ViT-B-32] [--rounds 7]

A round starts `promptd --version` (libraries, nothing else), reads the weights
file into a new process's memory, and starts promptd on a new data folder with that encoder
until its ready file is there; medians are compared. The encoder's weights are
random; its self-test and its files' digest are there, as from the second start
on. The file is in the system's cache, unless --cold drops it before each
reading (both sides then wait for the disk). Wants `scripts/setup parity` and 1
GB of disk in a temporary folder.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools/goldens"))

import make_random_goldens  # noqa: E402
import reference  # noqa: E402


READ = """import sys, time
start = time.perf_counter()
open(sys.argv[1], "rb", buffering=0).read()
print(time.perf_counter() - start)
"""


def drop(path):
    """Out of the system's cache."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def libraries(promptd):
    """Seconds until a process that only loads them has ended."""
    start = time.perf_counter()
    subprocess.run([promptd, "--version"], check=True,
                   stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def read_once(path):
    """Seconds of reading it into the memory of a new process."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], check=True,
                          stdout=subprocess.PIPE)
    return float(done.stdout)


def start_until_ready(promptd, encoder):
    """Seconds; the server is stopped again."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        start = time.perf_counter()
        process = subprocess.Popen(
            [promptd, "--data-dir", f"{folder}/data", "--listen",
             "127.0.0.1:0", "--http", "", "--encoder", str(encoder),
             "--ready-file", str(ready)], stderr=subprocess.DEVNULL)
        while not ready.exists():
            if process.poll() is not None:
                sys.exit("promptd did not start")
            time.sleep(0.001)
        seconds = time.perf_counter() - start
        process.terminate()
        process.wait()
        return seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cold", action="store_true")
    args = parser.parse_args()
    promptd = str(args.build / "server/promptd")
    with tempfile.TemporaryDirectory() as folder:
        make_random_goldens.main(Path(folder), 1, [args.model])
        encoder = Path(folder) / args.model.lower()
        weights = encoder / reference.WEIGHTS
        time.sleep(3)  # younger files are hashed at every start
        start_until_ready(promptd, encoder)  # writes self-test and digest
        os.sync()
        rounds = []
        for _ in range(args.rounds):
            if args.cold:
                drop(weights)
            reading = read_once(weights)
            if args.cold:
                drop(weights)
            rounds.append((libraries(promptd), reading,
                           start_until_ready(promptd, encoder)))
        loading, reading, ready = map(statistics.median, zip(*rounds))
        print(f"{args.model}, {weights.stat().st_size / 1e6:.0f} MB"
              f"{', not cached' if args.cold else ''}: ready after "
              f"{ready:.2f} s; libraries {loading:.2f} s and reading "
              f"{reading:.2f} s, ratio {ready / (loading + reading):.2f}")


if __name__ == "__main__":
    main()
