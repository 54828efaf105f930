"""A promptd of its own for a benchmark, and promptctl against it.

    with local_promptd.start(build, folder) as server:
        job = server.train("things", "--shots", 16, "--seed", 1)
"""

import contextlib
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TASKS = ROOT / "models/tasks"


def task_names():
    """The bundled tasks that figures in docs/benchmarks.md are of."""
    return ["food", "novel", "things", "travel"]


class Server:
    def __init__(self, build, process, address):
        self.promptctl = str(build / "client/promptctl")
        self.process = process
        self.address = address["listen"]
        self.http = address["http"]

    def json(self, *words):
        """What `promptctl -o json` prints; its message goes where ours go."""
        done = subprocess.run(
            [self.promptctl, "-s", self.address, "-o", "json", "--quiet",
             *map(str, words)], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"promptctl {' '.join(map(str, words))}: exit code "
                     f"{done.returncode}")
        return json.loads(done.stdout)

    def push_tasks(self):
        for task in task_names():
            self.json("dataset", "push", TASKS / task)

    def train(self, dataset, *flags):
        """The finished job."""
        return self.json("train", dataset, "--wait", "--fresh", *flags)


@contextlib.contextmanager
def start(build, folder, *flags, encoder=ROOT / "models/embedded",
          environment=None):
    """A server with its data in `folder`/data, stopped at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    with open(folder / "promptd.log", "ab") as log:
        process = subprocess.Popen(
            [str(build / "server/promptd"), "--data-dir",
             str(folder / "data"), "--listen", "127.0.0.1:0", "--http",
             "127.0.0.1:0",
             "--encoder", str(encoder), "--ready-file", str(ready), *flags],
            stdout=log, stderr=log,
            env={**os.environ, **(environment or {}),
                 "PROMPTD_MODELS": str(ROOT / "models")})
    try:
        while not ready.exists():
            if process.poll() is not None:
                sys.exit(f"promptd did not start: see {folder}/promptd.log")
            time.sleep(0.01)
        yield Server(build, process, json.loads(ready.read_text()))
    finally:
        process.terminate()
        process.wait()


def processor_times():
    """Of the machine, all cores: ticks since its start, and those that its host
    gave to others."""
    ticks = [int(n) for n in
             Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[7]


def stolen(since):
    """The share of the cores that the host took since these times."""
    ticks, taken = (now - then for now, then in
                    zip(processor_times(), since))
    return taken / max(1, ticks)


def train_seconds(job):
    """From a job's start to its end."""
    def at(name):
        return datetime.datetime.fromisoformat(job[name])

    return (at("end_time") - at("start_time")).total_seconds()
