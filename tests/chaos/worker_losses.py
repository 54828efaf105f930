"""Workers that are killed, or stopped until they are given up and then wake up,
while they train and classify.

usage: worker_losses.py [--rounds 8] [--pauses 2] [--seed 1]

A front end that computes nothing and three workers, with a lease of 3 s (the
default is 15 s; a short one keeps this short). Four jobs are queued or running at
any time, and calls are classified one after the other. In each round either one
worker is killed (kill -9) and started again, or `--pauses` are stopped (SIGSTOP)
for longer than a lease and go on as zombies. In the end:

- every job has succeeded, its events are a history that jobs/job_state.h allows,
  and it published one version; the versions are numbered without gaps;
- no classification has failed;
- a job that was interrupted learned, to the bit, what it learns in peace.

Environment as for tests/e2e/python/promptd_process.py.
"""
import argparse
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

E2E = pathlib.Path(__file__).resolve().parents[1] / "e2e/python"
sys.path.insert(0, str(E2E))
import images  # noqa: E402
import job_histories  # noqa: E402
import promptd_process  # noqa: E402
import reflected_client  # noqa: E402
import workbench  # noqa: E402

LEASE_SECONDS = 3
WORKERS = ("w1", "w2", "w3")
AT_ONCE = 4
# A worker is one thread, a job some seconds: long enough to be disturbed.
JOB = dict(task="shapes", dataset="shapes", shots=8, context_tokens=4,
           epochs=400, batch_size=8)
# A disturbed job may be given up after three losses without a checkpoint.
CHECKPOINTS = "300ms"


class House:
    def __init__(self, folder):
        self.folder = folder
        self.token = folder / "token"
        self.token.touch(mode=0o600)
        self.token.write_text("a-token-for-tests-only-no-secret\n")
        self.server = promptd_process.Promptd(
            folder / "front", "--worker-listen", "127.0.0.1:0",
            "--worker-token-file", str(self.token), "--no-local-worker",
            "--lease", f"{LEASE_SECONDS}s", "--log-level", "warning")
        self.bench = workbench.Bench(self.server.grpc)
        self.workers = {}

    def start_worker(self, name):
        self.workers[name] = promptd_process.Worker(
            self.folder / name, self.server.workers, self.token, "--id", name,
            "--threads", "1", "--max-batch", "1", "--checkpoint-interval",
            CHECKPOINTS)

    def ready(self):
        info = self.bench.call("ServerService", "GetServerInfo")
        return {w.id for w in info.workers if w.ready}

    def wait_for_all(self):
        workbench.wait_for(lambda: self.ready() == set(WORKERS), 120,
                           "all workers to serve")

    def close(self):
        for worker in self.workers.values():
            worker.signal(signal.SIGCONT)
            worker.kill()
        self.bench.close()
        self.server.kill()


class Submitter(threading.Thread):
    """Keeps AT_ONCE jobs unfinished until `stop`; none is like another."""

    def __init__(self, house, stop):
        super().__init__()
        self.bench = workbench.Bench(house.server.grpc)
        self.stop = stop
        self.jobs = []

    def run(self):
        open_jobs = []
        while not self.stop.is_set():
            while len(open_jobs) < AT_ONCE:
                job = self.bench.train(seed=len(self.jobs) + 1, **JOB)
                open_jobs.append(job.id)
                self.jobs.append(job.id)
            open_jobs = [i for i in open_jobs if not self.bench.call(
                "TrainingService", "GetTrainingJob", id=i).done]
            time.sleep(0.2)
        self.bench.close()


class Classifier(threading.Thread):
    def __init__(self, house, items, stop):
        super().__init__()
        self.bench = workbench.Bench(house.server.grpc)
        self.items, self.stop = items, stop
        self.calls, self.failures, self.slowest = 0, [], 0.0

    def run(self):
        while not self.stop.is_set():
            self.calls += 1
            begin = time.monotonic()
            try:
                self.bench.call(
                    "ClassifyService", "ZeroShotClassify",
                    labels=images.CLASSES, no_cache=True,
                    images=[self.items[self.calls % len(self.items)][1]])
            except reflected_client.RpcFailure as failure:
                self.failures.append(str(failure))
            self.slowest = max(self.slowest, time.monotonic() - begin)
        self.bench.close()


def disturb(house, draw, pauses):
    """One round; what was done."""
    if draw.random() < 0.5:
        victim = draw.choice(WORKERS)
        house.workers[victim].kill()
        house.start_worker(victim)
        return "kill", 1
    victims = draw.sample(WORKERS, pauses)
    for victim in victims:
        house.workers[victim].signal(signal.SIGSTOP)
    time.sleep(LEASE_SECONDS * draw.uniform(1.3, 2))
    for victim in victims:
        house.workers[victim].signal(signal.SIGCONT)
    return "pause", len(victims)


def check(house, jobs):
    """(what does not hold, jobs that were interrupted)."""
    wrong, published, interrupted = [], [], []
    for number in jobs:
        job, events = house.bench.finish(number)
        wrong += job_histories.faults(job, events)
        if job.state != workbench.SUCCEEDED:
            wrong.append(f"job {number} ended with {job.error_reason}: "
                         f"{job.error_message}")
            continue
        published.append(job.version)
        if any("worker was lost" in e.message for e in events):
            interrupted.append(job)
    versions = [v.version for v in house.bench.call(
        "PromptService", "ListVersions", task=JOB["task"],
        page_size=1000).versions]
    if sorted(published) != list(range(1, len(published) + 1)):
        wrong.append(f"the jobs published versions {sorted(published)}")
    if sorted(versions) != sorted(published):
        wrong.append(f"versions {sorted(versions)} of jobs that published "
                     f"{sorted(published)}")
    return wrong, interrupted


def compare_in_peace(house, interrupted):
    """Runs some jobs again, undisturbed."""
    wrong = []
    for job in interrupted[:3]:
        again = house.bench.call(
            "TrainingService", "CreateTrainingJob", fresh=True,
            spec=dict(seed=job.spec.seed, **dict(JOB, task="calm")))
        done, _ = house.bench.finish(again.id)
        expected = house.bench.export("calm", done.version).context
        if house.bench.export(JOB["task"], job.version).context != expected:
            wrong.append(f"job {job.id} learned something else in peace")
    return wrong


def run(folder, args):
    draw = random.Random(args.seed)
    house, stop, items = House(folder), threading.Event(), images.tiny_dataset()
    try:
        house.bench.push("shapes", images.CLASSES, items)
        for name in WORKERS:
            house.start_worker(name)
        house.wait_for_all()
        submitter, load = Submitter(house, stop), Classifier(house, items, stop)
        submitter.start()
        load.start()
        done = {"kill": 0, "pause": 0}
        for _ in range(args.rounds):
            time.sleep(draw.uniform(1, 4))
            what, count = disturb(house, draw, args.pauses)
            done[what] += count
            house.wait_for_all()
        stop.set()
        submitter.join()
        load.join()
        wrong, interrupted = check(house, submitter.jobs)
        print(f"{done['kill']} kills and {done['pause']} pauses beyond the "
              f"lease: {len(submitter.jobs)} jobs, {len(interrupted)} "
              f"interrupted; {load.calls} classifications, "
              f"{len(load.failures)} failed, the slowest took "
              f"{load.slowest:.1f} s")
        if not interrupted:
            wrong.append("no job was interrupted: this run shows nothing")
        wrong += load.failures[:3]
        return wrong + compare_in_peace(house, interrupted)
    finally:
        house.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pauses", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promptd-losses-") as folder:
        wrong = run(pathlib.Path(folder), args)
    for line in wrong[:20]:
        print(f"WRONG: {line}")
    print(f"{len(wrong)} things wrong" if wrong else "OK")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
