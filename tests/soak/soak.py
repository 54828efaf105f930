"""A promptd under mixed load for a while, in three equal phases: does it grow?

usage: soak.py BUILD_DIR [--minutes 30] [--work FOLDER]

All the while: classify calls of both APIs, fresh images and known ones, many
tasks at once, streams that are read and streams that are dropped, calls that are
cancelled, deadlines that pass, requests that are refused, training jobs that end,
are cancelled or paused, watchers, evaluations, aliases that move. Caches are
bounded so that the first phase fills them.

After each phase, once all load has ended: live objects (calls in flight, queued
images and bytes, unfinished jobs) are at zero, descriptors as many as after the
first phase, threads no more than after the second (gRPC adds one to its pool when
it was busier than before), and the process's own memory has grown by at most 2 MB
from the second phase to the third. promptd gives memory back to the system every
minute; the least of the readings of 70 seconds counts.

Prints a line a phase and exits with 1 if a bound is missed.
"""

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/e2e/python")]
import local_promptd  # noqa: E402
import reflected_client  # noqa: E402

TASK = "things"
PHASES = 3
GROWTH_BYTES = 2_000_000
SETTLE_SECONDS = 70
CLASSIFY = "promptd.v1.ClassifyService"
# Refusals that the load provokes; any other failure is a fault of the server.
EXPECTED = {"DEADLINE_EXCEEDED", "CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND",
            "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "UNAVAILABLE"}


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {}
        self.bad = []

    def add(self, code, text):
        with self.lock:
            self.counts[code] = self.counts.get(code, 0) + 1
            if code not in EXPECTED:
                self.bad.append(f"{code}: {text}"[:300])


class Load:
    """What one thread does again and again until it is told to stop."""

    def __init__(self, server, images, seed):
        self.client = reflected_client.Client(server.address)
        self.images = images
        self.draw = random.Random(seed)
        self.classify, self.request = self.client.method(CLASSIFY, "Classify")

    def close(self):
        self.client.close()

    def image(self):
        return self.draw.choice(self.images)

    def jpeg(self):
        """With a new comment, so that caches miss."""
        blob = self.image()
        comment = self.draw.randbytes(16)
        return blob[:2] + b"\xff\xfe\x00\x12" + comment + blob[2:]

    def classify_once(self):
        self.classify(self.request(task=TASK, images=[self.jpeg()]), timeout=30)
        self.classify(self.request(task=TASK, alias="soak",
                                   images=[self.image()] * 3), timeout=30)

    def refused(self):
        bad = [dict(task="nobody", images=[self.image()]),
               dict(task=TASK, version=9999, images=[self.image()]),
               dict(task=TASK, images=[]),
               dict(task=TASK, images=[b"x" * 1000, self.image()[:500]]),
               dict(task=TASK, images=[self.jpeg()], top_k=-1)]
        self.classify(self.request(**self.draw.choice(bad)), timeout=30)

    def too_late(self):
        self.classify(self.request(task=TASK, images=[self.jpeg()] * 8),
                      timeout=self.draw.choice([0.001, 0.005, 0.02]))

    def cancelled(self):
        call = self.classify.future(
            self.request(task=TASK, images=[self.jpeg()] * 4), timeout=30)
        time.sleep(self.draw.random() * 0.02)
        call.cancel()

    def multi(self):
        self.client.call("ClassifyService", "MultiClassify",
                         images=[self.jpeg()],
                         tasks=[dict(task=TASK), dict(task=TASK, version=1),
                                dict(task="nobody")])

    def stream(self, read=True):
        def item(i):
            return self.client.new(
                "ClassifyStreamRequest", id=str(i),
                classify=self.request(task=TASK, images=[self.jpeg()]))

        replies = self.client.stream("ClassifyService", "ClassifyStream",
                                     map(item, range(20)), timeout=60)
        for _ in itertools.islice(replies, None if read else 3):
            pass
        replies.close()

    def dropped_stream(self):
        self.stream(read=False)

    def train(self):
        job = self.client.call(
            "TrainingService", "CreateTrainingJob", fresh=True,
            spec=dict(task="trained", dataset=TASK, shots=1, epochs=2,
                      context_tokens=4))
        what = self.draw.randrange(3)
        if what == 0:
            self.client.call("TrainingService", "CancelTrainingJob", id=job.id)
        watch = self.client.stream(
            "TrainingService", "WatchTrainingJob",
            self.client.new("WatchTrainingJobRequest", id=job.id))
        for _ in itertools.islice(watch, 2 if what == 1 else None):
            pass
        watch.close()
        time.sleep(2)

    def move_alias(self):
        self.client.call("PromptService", "SetAlias", task=TASK, name="soak",
                         version=self.draw.randint(1, 2))
        time.sleep(0.02)

    def look(self):
        self.client.call("PromptService", "ListVersions", task="trained",
                         page_size=5)
        self.client.call("ServerService", "GetServerInfo")
        time.sleep(0.1)


def repeat(server, images, faults, stop, seed, action):
    load = Load(server, images, seed)
    while not stop.is_set():
        try:
            getattr(load, action)()
        except reflected_client.RpcFailure as failure:
            faults.add(failure.code.name, str(failure))
        except Exception as error:  # a raw grpc.RpcError, or a fault of ours
            code = error.code().name if hasattr(error, "code") else "SOAK"
            faults.add(code, f"{action}: {error}")
    load.close()


ACTIONS = ("classify_once", "classify_once", "refused", "too_late", "cancelled",
           "multi", "stream", "dropped_stream", "train", "move_alias", "look")


def metrics(server):
    values = {}
    with urllib.request.urlopen(f"http://{server.http}/metrics",
                                timeout=30) as reply:
        for line in reply.read().decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
    return values


def live_objects(values):
    """What must be zero when nobody wants anything, by series."""
    names = ("promptd_grpc_in_flight", "promptd_queue_images",
             "promptd_queue_bytes", 'promptd_jobs{state="queued"}',
             'promptd_jobs{state="running"}')
    found = {name: value for name, value in values.items()
             if name.startswith(names)}
    assert len(found) >= len(names), f"series are missing: {sorted(found)}"
    return {name: value for name, value in found.items() if value != 0}


def own_memory(process):
    """Bytes of anonymous memory in RAM."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError("no RssAnon")


def count(process, what):
    return len(os.listdir(f"/proc/{process.pid}/{what}"))


def phase(server, images, args, number, faults):
    stop = threading.Event()
    threads = [threading.Thread(target=repeat, args=(
        server, images, faults, stop, 100 * number + i, action))
        for i, action in enumerate(ACTIONS)]
    for thread in threads:
        thread.start()
    seconds = 60 * args.minutes / PHASES - SETTLE_SECONDS
    generator = subprocess.run(
        ["nice", str(args.build / "bench/load_generator"), "--target",
         server.address, "--api", "infer", "--name", TASK, "--seconds",
         str(seconds), "--rate", "20", "--fresh", *map(str, args.images[:16])],
        stdout=subprocess.PIPE, text=True)
    stop.set()
    for thread in threads:
        thread.join()
    if generator.returncode != 0:
        faults.add("GENERATOR", f"exit code {generator.returncode}")
    readings, end = [], time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        time.sleep(1)
        readings.append(own_memory(server.process))
    # Before a request for the metrics, whose connection counts too.
    descriptors = count(server.process, "fd")
    values = metrics(server)
    return {"memory": min(readings), "live": live_objects(values),
            "descriptors": descriptors,
            "threads": count(server.process, "task"),
            "calls": sum(v for n, v in values.items()
                         if n.startswith("promptd_grpc_requests_total")),
            "jobs": sum(v for n, v in values.items()
                        if n.startswith("promptd_jobs_finished_total"))}


def soak(server, args):
    server.json("dataset", "push", local_promptd.TASKS / TASK)
    for template in ("a photo of a {}.", "a drawing of a {}."):
        server.train(TASK, "--task", TASK, "--method", "zero_shot",
                     "--text-template", template)
    server.json("alias", "set", TASK, "soak", 1)
    # The first job packs the text tower's weights for gradients, some 14 MB that
    # stay. Beside the load a job may end in any phase.
    server.train(TASK, "--task", "trained", "--shots", "1", "--epochs", "2",
                 "--context-tokens", "4")
    args.images = sorted(
        (local_promptd.TASKS / TASK / "test").glob("*/*.jpg"))[:64]
    images = [path.read_bytes() for path in args.images]
    faults, misses, phases = Faults(), [], []
    for number in range(PHASES):
        now = phase(server, images, args, number, faults)
        phases.append(now)
        print(f"phase {number + 1}: {now['memory'] / 1e6:.1f} MB of its own, "
              f"{now['descriptors']} descriptors, {now['threads']} threads, "
              f"{now['calls']:.0f} calls and {now['jobs']:.0f} jobs so far, "
              f"live objects {now['live'] or 'none'}", flush=True)
        if now["live"]:
            misses.append(f"live objects after phase {number + 1}")
        if now["descriptors"] != phases[0]["descriptors"]:
            misses.append(f"descriptors after phase {number + 1}")
    if phases[2]["threads"] > phases[1]["threads"]:
        misses.append("threads")
    growth = phases[2]["memory"] - phases[1]["memory"]
    print(f"growth from phase 2 to phase 3: {growth / 1e6:.2f} MB; refused as "
          f"they should be: {faults.counts}")
    if growth > GROWTH_BYTES:
        misses.append("growth")
    for bad in faults.bad[:10]:
        print(f"fault: {bad}")
    if faults.bad:
        misses.append(f"{len(faults.bad)} faults")
    return misses


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    if 60 * args.minutes / PHASES < SETTLE_SECONDS + 10:
        parser.error(f"--minutes: at least {PHASES * (SETTLE_SECONDS + 10) / 60}")
    with tempfile.TemporaryDirectory() as folder:
        with local_promptd.start(
                args.build, args.work or Path(folder), "--threads", "1",
                "--embedding-cache-bytes", str(2 << 20),
                "--database-cache-bytes", str(1 << 20),
                "--log-level", "warning") as server:
            misses = soak(server, args)
        code = server.process.returncode
        if code != 0:
            misses.append(f"promptd's exit code is {code}")
    print("missed: " + ", ".join(misses) if misses else "soak: OK")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
