"""Workers that stop for longer than a lease and then go on, or whose connection
is cut, while they train.

usage: stale_workers.py [--workers 20] [--pauses 500] [--cuts 200] [--seed 1]

A front end that computes nothing, with a lease of 3 s (the default is 15 s; a
short one keeps this short). Two workers stay awake. All the others reach the
front end through a proxy each, and each of them trains a job. A round either
stops them all at once (SIGSTOP) for longer than a lease, or cuts some connections:
breaks them, or holds back what crosses them for less than a lease or for more,
after which all of it arrives. Meanwhile others have taken the jobs; then the
zombies go on. Besides, every call by which a worker writes something is sent for
each such job under the fence that is past. In the end:

- every stale write was refused: ABORTED (LEASE_LOST);
- every job has succeeded (or lost three workers in a row without a checkpoint),
  its events are a history that jobs/job_state.h allows, and it published one
  version; the versions are numbered without gaps.

Environment as for tests/e2e/python/promptd_process.py.
"""
import argparse
import random
import signal
import sys
import tempfile
import time

import house
import cuttable_proxy
import job_histories
import stale_writer
import workbench

AWAKE = ("awake1", "awake2")
# Some seconds of one of many threads on two cores.
JOB = dict(task=house.TASK, dataset=house.DATASET, shots=8, context_tokens=4,
           epochs=100, batch_size=8)
CHECKPOINTS = ("--checkpoint-interval", "300ms")


class Rounds:
    def __init__(self, home, draw, workers):
        self.home, self.draw = home, draw
        self.names = [f"w{i}" for i in range(workers)]
        self.proxies = {}
        self.pauses = self.cuts = self.writes = 0
        self.given_up = set()  # (job, fence)
        self.wrong = []
        self.writer = None

    def start(self):
        for name in AWAKE:
            self.home.start_worker(name, *CHECKPOINTS)
        for name in self.names:
            self.proxies[name] = cuttable_proxy.Proxy(self.home.server.workers)
            self.home.start_worker(name, *CHECKPOINTS,
                                   frontend=self.proxies[name].address)
        self.home.wait_for_all()
        self.writer = stale_writer.StaleWriter(self.home)

    def busy(self, share):
        """Waits until such a share of our workers may train; their jobs."""
        wanted = len(AWAKE) + int(share * len(self.names))
        workbench.wait_for(lambda: len(self.home.running()) >= wanted, 120,
                           f"{wanted} workers to train")
        return [job.id for job in self.home.running()]

    def write_stale(self, jobs):
        """For every fence of the jobs that is past."""
        for job in jobs:
            past = len(job_histories.owners(self.home.history(job))) - 1
            self.given_up.update((job, fence) for fence in range(1, past + 1))
            for fence in range(1, past + 1):
                sent, wrong = self.writer.write_all(job, fence)
                self.writes += sent
                self.wrong += wrong

    def pause(self):
        jobs = self.busy(0.75)
        for name in self.names:
            self.home.workers[name].signal(signal.SIGSTOP)
        time.sleep(house.LEASE_SECONDS * self.draw.uniform(1.4, 2.2))
        # Half of the writes before the zombies wake, half beside them.
        self.write_stale(jobs[::2])
        for name in self.names:
            self.home.workers[name].signal(signal.SIGCONT)
        self.write_stale(jobs[1::2])
        self.pauses += len(self.names)

    def cut(self, most):
        count = min(most, self.draw.randint(1, len(self.names)))
        jobs = self.busy(0.5)
        victims = self.draw.sample(self.names, count)
        kinds = {name: self.draw.choice(("reset", "hold", "hold long"))
                 for name in victims}
        for name, kind in kinds.items():
            proxy = self.proxies[name]
            proxy.reset() if kind == "reset" else proxy.hold()
        time.sleep(house.LEASE_SECONDS * 0.5)
        for name, kind in kinds.items():
            if kind == "hold":
                self.proxies[name].release()
        if "hold long" in kinds.values():
            time.sleep(house.LEASE_SECONDS * self.draw.uniform(0.9, 1.5))
        self.write_stale(jobs)
        for name, kind in kinds.items():
            if kind == "hold long":
                self.proxies[name].release()
        self.cuts += count

    def run(self, pauses, cuts):
        while self.pauses < pauses or self.cuts < cuts:
            time.sleep(self.draw.uniform(0, 2))
            left = {"pause": pauses - self.pauses, "cut": cuts - self.cuts}
            if left["cut"] <= 0 or (left["pause"] > 0 and
                                    self.draw.random() < 0.6):
                self.pause()
            else:
                self.cut(left["cut"])
            self.home.wait_for_all()
            print(f"{self.pauses} pauses, {self.cuts} cuts, {len(self.given_up)} "
                  f"jobs given up, {self.writes} stale writes", flush=True)

    def close(self):
        for proxy in self.proxies.values():
            proxy.release()
        if self.writer is not None:
            self.writer.close()


def run(folder, args):
    home = house.House(folder)
    rounds = Rounds(home, random.Random(args.seed), args.workers)
    submitter = None
    try:
        rounds.start()
        submitter = house.Submitter(
            home, args.workers + len(AWAKE), lambda i: dict(JOB, seed=i + 1))
        begin = time.monotonic()
        submitter.start()
        rounds.run(args.pauses, args.cuts)
        submitter.end()
        wrong, succeeded = house.check_jobs(home, submitter.jobs,
                                            may_be_lost=True)
        print(f"{rounds.pauses} pauses beyond the lease, {rounds.cuts} cuts in "
              f"{time.monotonic() - begin:.0f} s: {len(submitter.jobs)} jobs, "
              f"{len(succeeded)} versions, {len(rounds.given_up)} times a job was "
              f"given up; {rounds.writes} stale writes, "
              f"{len(rounds.wrong)} not refused as they should be")
        if not rounds.given_up:
            wrong.append("no job was given up: this run shows nothing")
        return rounds.wrong + wrong
    finally:
        if submitter is not None:
            submitter.stop.set()
        rounds.close()
        home.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--pauses", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promptd-stale-") as folder:
        return house.report(run(folder, args))


if __name__ == "__main__":
    sys.exit(main())
