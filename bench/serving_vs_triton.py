"""promptd beside Triton, and both beside the encoder in a loop without a
server: one encoder, one machine, one run.

usage: serving_vs_triton.py BUILD_DIR [--model ViT-B-32] [--rounds 5]
           [--seconds 10] [--concurrency 16] [--threads 2]
           [--precisions float32,bfloat16] [--measure pixels,shared,jpeg,cache]
           [--instances 1] [--delay-us 0] [--wait-policy PASSIVE]

pixels: float32 tensors in, embeddings out (ModelInfer, both sides). shared: the
same tensors in shared memory, which requests of either side name. jpeg:
JPEGs of 500 x 375 in, no two the same bytes; promptd also by its own API, which
classifies. cache: 16 JPEGs again and again, promptd's embedding cache and
Triton's response cache on, all in them before the time begins; promptd also
by a stream whose items name them by their digest ("stream"); that and Triton
also with half of the JPEGs in each request ("of 8").

All servers are up all the time and idle while another is measured. A round
measures each of them once, the next round in the opposite order; ratios are of
the medians, with the smallest and largest of the rounds' own. Each server may
use --threads threads for one computation, all with the same OMP_WAIT_POLICY,
and the load generator runs niced on the same cores. Ratios of processor time
(of the server's processes) say more where others use the machine.

The encoder's weights are random. Wants `scripts/setup parity`; makes
build/serving (600 MB) and, on first use, build/triton (1.4 GB), where Triton
and PyTorch are installed: triton_peer.py.
"""

import argparse
import collections
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools/goldens"))

import numpy as np  # noqa: E402
import tritonclient.grpc as triton_client  # noqa: E402
from PIL import Image  # noqa: E402

import local_promptd  # noqa: E402
import make_random_goldens  # noqa: E402
import triton_peer  # noqa: E402

PHOTOS = 64
CACHED_PHOTOS = 16
MANY = " of 8"  # images a request
PIXELS = ["pixels", "shared"]  # what is measured of tensors
CACHE_BYTES = 256 << 20
TASK = "pair"
SIDE = 224  # of the model's images
# Behind all threads of promptd, those that compute (5) too, and of Triton (0).
# At 19 it starves beside threads that never wait: half of the requests were on
# their way at any time, and batches a third as large.
GENERATOR_NICE = 10


def write_photos(folder, count, seed=1):
    """Smooth JPEGs with some noise, of a photo's usual size."""
    noise = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        coarse = noise.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        photo = np.asarray(Image.fromarray(coarse).resize(
            (500, 375), Image.BICUBIC)).astype(np.int16)
        photo = np.clip(photo + noise.integers(-12, 13, photo.shape), 0, 255)
        Image.fromarray(photo.astype(np.uint8)).save(
            folder / f"{i:03}.jpg", quality=90)
    return folder


def prepare(work, model):
    """(encoder folder, photos, a dataset of two classes of them)."""
    encoder = work / model.lower()
    if not (encoder / "merges.txt").exists():
        make_random_goldens.main(work, 1, [model])
    photos = write_photos(work / "photos", PHOTOS)
    dataset = work / TASK
    for seed, place in enumerate(["train/cat", "train/dog", "test/cat",
                                  "test/dog"]):
        write_photos(dataset / place, 2, seed)
    return encoder, photos, dataset


# Images a second, images a second of processor time, latency in ms.
Figure = collections.namedtuple("Figure", "wall processor latency")


def processor_seconds(root):
    """Of a process and all its descendants."""
    ticks, parents = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # Behind the name, which may hold anything: state, parent, ...
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid] = int(fields[1])
            ticks[pid] = int(fields[11]) + int(fields[12])

    def is_below(pid):
        return pid == root or (pid in parents and is_below(parents[pid]))

    return sum(ticks[pid] for pid in ticks if is_below(pid)) / os.sysconf(
        "SC_CLK_TCK")


class Bench:
    """The programs and what they are asked for."""

    def __init__(self, args, encoder, photos):
        self.args = args
        self.encoder = encoder
        self.photos = photos

    def load(self, server, *flags):
        """A server's figure."""
        before = processor_seconds(server.process.pid)
        done = subprocess.run(
            ["nice", "-n", str(GENERATOR_NICE),
             self.args.build / "bench/load_generator", "--target",
             server.address, "--concurrency", str(self.args.concurrency),
             "--seconds", str(self.args.seconds), *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"load_generator: exit code {done.returncode}: "
                     f"{done.stderr}")
        report = json.loads(done.stdout)
        if report["first_error"] or report["image_errors"]:
            sys.exit(f"not all were answered: {done.stderr}")
        used = processor_seconds(server.process.pid) - before
        return Figure(report["images_per_second"],
                      report["images_in_all"] / used, report["latency_ms"])

    def loop(self, kind, precision):
        """Figures without a server, at the batch that the load allows: "loop",
        pixels that lie ready, and of JPEGs "decode+loop"."""
        photos = sorted(self.photos.iterdir()) if kind == "jpeg" else []
        done = subprocess.run(
            [self.args.build / "bench/raw_encoder", self.encoder, *photos,
             "--precision", precision, "--batch", str(self.args.concurrency),
             "--seconds", str(self.args.seconds / 2), "--threads",
             str(self.args.threads)],
            stdout=subprocess.PIPE, check=True,
            env={**os.environ, **environment(self.args)})
        rates = json.loads(done.stdout)["images_per_second"][0]
        return {side: Figure(rates[name]["wall"], rates[name]["processor"],
                             None)
                for side, name in [("loop", "pixels"), ("decode+loop", "jpeg")]
                if name in rates}


def environment(args):
    return {"OMP_WAIT_POLICY": args.wait_policy,
            "OMP_NUM_THREADS": str(args.threads)}


def has_cache(args):
    done = subprocess.run([args.build / "server/promptd", "--help"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return "--embedding-cache-bytes" in done.stdout


@contextlib.contextmanager
def servers(bench, cache_bytes, dataset):
    """{(side, precision): server}; promptd has a version of the task."""
    args = bench.args
    # A busy machine is no reason to give the job back.
    flags = ["--threads", str(args.threads), "--lease", "1h"]
    if has_cache(args):
        flags += ["--embedding-cache-bytes", str(cache_bytes)]
    tuning = triton_peer.Tuning(args.threads, args.instances, args.delay_us,
                                cache_bytes)
    running = {}
    with contextlib.ExitStack() as stack:
        for precision in args.precisions.split(","):
            folder = ROOT / "build/serving" / precision
            shutil.rmtree(folder / "data", ignore_errors=True)
            server = stack.enter_context(local_promptd.start(
                args.build, folder, "--precision", precision, *flags,
                encoder=bench.encoder, environment=environment(args)))
            server.json("dataset", "push", dataset)
            server.train(TASK, "--method", "zero_shot")
            running["promptd", precision] = server
            running["triton", precision] = stack.enter_context(
                triton_peer.start(ROOT / "build/triton", bench.encoder,
                                  precision, tuning, environment(args)))
        yield running


def embedding(address, model, tensor, array, datatype):
    value = triton_client.InferInput(tensor, list(array.shape), datatype)
    value.set_data_from_numpy(array)
    with triton_client.InferenceServerClient(address) as client:
        return client.infer(model, [value]).as_numpy("EMBEDDING")[0]


def compare(running, photos):
    """Says how near the sides' answers are."""
    pixels = np.random.default_rng(1).normal(
        size=(1, 3, SIDE, SIDE)).astype(np.float32)
    photo = np.array([[sorted(photos.iterdir())[0].read_bytes()]], object)
    for precision in dict.fromkeys(precision for _, precision in running):
        cosines = [
            float(embedding(running["promptd", precision].address, ours, tensor,
                            array, datatype) @
                  embedding(running["triton", precision].address, theirs, tensor,
                            array, datatype))
            for ours, theirs, tensor, array, datatype in [
                ("_pixel_encoder", "pixels", "PIXELS", pixels, "FP32"),
                ("_image_encoder", "image", "IMAGE", photo, "BYTES")]]
        print(f"{precision}: cosine of promptd's and Triton's embedding "
              f"{cosines[0]:.5f} for the same pixels, {cosines[1]:.5f} for "
              "the same JPEG", flush=True)


def fill(running, photos):
    """Lets each server's cache hold what is sent again and again."""
    for photo in sorted(photos.iterdir())[:CACHED_PHOTOS]:
        array = np.array([[photo.read_bytes()]], object)
        for (side, _), server in running.items():
            embedding(server.address, "image" if side == "triton" else
                      "_image_encoder", "IMAGE", array, "BYTES")


def requests(kind, side, photos):
    """The load generator's flags for what a side is sent."""
    many = ["--images-per-request", str(CACHED_PHOTOS // 2)] \
        if side.endswith(MANY) else []
    side = side.removesuffix(MANY)
    if kind in PIXELS:
        model = "_pixel_encoder" if side == "promptd" else "pixels"
    else:
        model = "_image_encoder" if side == "promptd" else "image"
    flags = ["--api", "infer", "--name", model]
    if side == "triton stream":
        flags[1] = "infer-stream"
    if side == "classify":
        flags = ["--api", "classify", "--name", TASK, "--versions", "1"]
    if side == "stream":
        flags = ["--api", "stream", "--by-digest", "--name", TASK,
                 "--versions", "1"]
    if kind in PIXELS:
        return [*flags, "--pixels",
                *(["--shared-memory"] if kind == "shared" else [])]
    if kind == "cache":
        return [*flags, *many, "--distinct", str(CACHED_PHOTOS), str(photos)]
    return [*flags, "--fresh", str(photos)]


def measure(bench, running, kind):
    """{(side, precision): figures of the rounds}."""
    turns = []
    for side, precision in running:
        turns.append((side, precision))
        if side == "promptd" and kind not in PIXELS:
            turns.append(("classify", precision))
        if kind == "cache":
            stream = "stream" if side == "promptd" else "triton stream"
            turns.append((stream, precision))
            if side == "triton":
                turns.append((side + MANY, precision))
            turns.append((stream + MANY, precision))
        elif side == "promptd":
            turns.append(("loop", precision))
    found = collections.defaultdict(list)
    for number in range(bench.args.rounds):
        for side, precision in turns[::-1] if number % 2 else turns:
            if side == "loop":
                for name, figure in bench.loop(kind, precision).items():
                    found[name, precision].append(figure)
                continue
            server = "triton" if side.startswith("triton") else "promptd"
            found[side, precision].append(
                bench.load(running[server, precision],
                           *requests(kind, side, bench.photos)))
    return found


def ratio(over, under):
    """Of the medians, with the least and the greatest of the rounds."""
    def of(clock):
        rounds = [getattr(a, clock) / getattr(b, clock)
                  for a, b in zip(over, under)]
        return (f"{median(over, clock) / median(under, clock):.2f} "
                f"({min(rounds):.2f} to {max(rounds):.2f})")

    return f"{of('wall')}, of processor time {of('processor')}"


def median(figures, clock):
    return statistics.median(getattr(figure, clock) for figure in figures)


def report(kind, found):
    for (side, precision), figures in found.items():
        line = (f"{kind} {precision} {side}: {median(figures, 'wall'):.1f} "
                f"images/s, {median(figures, 'processor'):.1f} a second of "
                "processor time")
        if figures[0].latency:
            line += "; latency " + ", ".join(
                f"{name} {statistics.median(f.latency[name] for f in figures):.1f}"
                for name in ["p50", "p99"]) + " ms"
        print(line)
    for side, ours in found:
        for other, theirs in found:
            is_peer = "triton" not in side and "triton" in other \
                and "loop" not in side and (
                    side.endswith(MANY) == other.endswith(MANY))
            is_limit = "loop" not in side and "loop" in other and ours == theirs
            if is_peer or is_limit:
                print(f"{kind}: {side} {ours} over {other} {theirs}: "
                      f"{ratio(found[side, ours], found[other, theirs])}")
    sys.stdout.flush()


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--measure", default="pixels,shared,jpeg,cache")
    parser.add_argument("--instances", type=int, default=1,
                        help="of Triton's models")
    parser.add_argument("--delay-us", type=int, default=0,
                        help="Triton's queue delay")
    parser.add_argument("--wait-policy", default="PASSIVE",
                        choices=["PASSIVE", "ACTIVE"])
    return parser.parse_args()


def main():
    # Whoever ends this program ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args = parse()
    args.build = args.build.resolve()
    encoder, photos, dataset = prepare(ROOT / "build/serving", args.model)
    bench = Bench(args, encoder, photos)
    kinds = args.measure.split(",")
    plain = [kind for kind in kinds if kind != "cache"]
    print(f"{args.model}, {args.concurrency} requests under way, {args.threads} "
          f"threads a computation, OMP_WAIT_POLICY={args.wait_policy} for all, "
          f"{args.rounds} rounds of {args.seconds:.0f} s; the load generator "
          "niced on the same cores", flush=True)
    if plain:
        with servers(bench, 0, dataset) as running:
            compare(running, photos)
            for kind in plain:
                report(kind, measure(bench, running, kind))
    if "cache" in kinds and not has_cache(args):
        print("cache: this promptd has no --embedding-cache-bytes")
    elif "cache" in kinds:
        with servers(bench, CACHE_BYTES, dataset) as running:
            fill(running, photos)
            report("cache", measure(bench, running, "cache"))


if __name__ == "__main__":
    main()
