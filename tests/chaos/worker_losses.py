"""Workers that are killed, or fall silent, while they train and classify.

usage: worker_losses.py [--losses 20] [--seed 1]

A front end that computes nothing and three workers, with a lease of 3 s (the
default is 15 s; a short one keeps this short). One job after the other is
trained, calls are classified all the while, and at random epochs the worker of
the job is killed (kill -9), or, every fifth time, stopped (SIGSTOP) first, so
that its connection stays open. In the end:

- the job was taken up by another worker: when a connection broke, at once, else
  within the lease and 3 s;
- not more than one epoch was done again;
- every job has succeeded with one version, the versions are numbered without
  gaps, the histories are ones that jobs/job_state.h allows;
- every job learned, to the bit, what it learns in peace;
- no classification has failed.

Environment as for tests/e2e/python/promptd_process.py.
"""
import argparse
import random
import signal
import sys
import tempfile
import time

import house
import job_histories

WORKERS = ("w1", "w2", "w3")
# Steps enough that a checkpoint is due behind every epoch.
JOB = dict(dataset=house.DATASET, shots=8, context_tokens=4, epochs=60,
           batch_size=1)
SEEDS = 4
CHECKPOINTS = ("--checkpoint-interval", "100ms")


class Losses:
    def __init__(self, home, draw):
        self.home, self.draw = home, draw
        self.jobs, self.wrong = [], []
        # Seconds until another worker had the job; epochs.
        self.at_once, self.in_silence, self.repeated = [], [], [0]
        self.missed = 0

    def learn_in_peace(self):
        """The contexts by seed."""
        contexts = {}
        for seed in range(SEEDS):
            job = self.home.bench.train(task="calm", seed=seed + 1, **JOB)
            done, _ = self.home.bench.finish(job.id)
            contexts[seed] = self.home.bench.export(
                "calm", done.version).context
        return contexts

    def follow(self, job, epoch):
        """Until the job has done so many epochs; whether it still runs."""
        for event in self.home.bench.events(job):
            if event.progress.phase == "train" and (
                    event.progress.epoch >= epoch):
                return event.state == job_histories.RUNNING
        return False

    def lose_worker_of(self, job):
        events = self.home.history(job)
        worker = self.home.workers[job_histories.owners(events)[-1]]
        silent = (len(self.at_once) + len(self.in_silence)) % 5 == 4
        claims = len(job_histories.owners(events))
        begin = time.monotonic()
        worker.signal(signal.SIGSTOP if silent else signal.SIGKILL)
        for event in self.home.bench.events(job, events[-1].sequence + 1):
            events.append(event)
            if len(job_histories.owners(events)) > claims:
                break
        taken = time.monotonic() - begin
        worker.kill()
        if len(job_histories.owners(events)) == claims:
            self.missed += 1  # it had ended
        else:
            (self.in_silence if silent else self.at_once).append(taken)
            bound = house.LEASE_SECONDS + 3 if silent else house.LEASE_SECONDS
            if taken > bound:
                self.wrong.append(f"job {job} taken up after {taken:.1f} s")
        self.home.start_worker(worker.id, *CHECKPOINTS)
        self.home.wait_for_all()

    def count_repeated(self, events):
        """How many epochs each of a job's losses cost, at most."""
        reached, lost = 0, False
        for event in events:
            if event.message.startswith(job_histories.RUNNING_ON):
                lost = reached > 0
            elif event.progress.phase == "train":
                if lost:
                    self.repeated.append(max(0, reached - event.progress.epoch))
                    lost = False
                reached = event.progress.epoch

    def run(self, losses):
        while len(self.at_once) + len(self.in_silence) < losses:
            job = self.home.bench.train(task=house.TASK, seed=len(
                self.jobs) % SEEDS + 1, **JOB).id
            self.jobs.append(job)
            epoch = 0
            while len(self.at_once) + len(self.in_silence) < losses:
                epoch += self.draw.randint(3, 25)
                if epoch >= JOB["epochs"] or not self.follow(job, epoch):
                    break
                self.lose_worker_of(job)
            self.count_repeated(self.home.bench.finish(job)[1])
            print(f"{len(self.at_once)} kills, {len(self.in_silence)} silent, "
                  f"{len(self.jobs)} jobs", flush=True)

    def summary(self):
        if max(self.repeated) > 1:
            self.wrong.append(f"{max(self.repeated)} epochs were repeated")

        def worst(times):
            return f"{max(times):.2f} s" if times else "-"
        return (f"{len(self.at_once)} killed, taken up within "
                f"{worst(self.at_once)}; {len(self.in_silence)} silent, within "
                f"{worst(self.in_silence)}; {max(self.repeated)} epochs "
                "repeated at most")


def check(home, losses, contexts):
    wrong, succeeded = house.check_jobs(home, losses.jobs)
    for job, _ in succeeded:
        context = home.bench.export(house.TASK, job.version).context
        if context != contexts[job.spec.seed - 1]:
            wrong.append(f"job {job.id} learned something else in peace")
    return wrong


def run(folder, args):
    home = house.House(folder)
    losses, load = Losses(home, random.Random(args.seed)), house.Classifier(home)
    try:
        for name in WORKERS:
            home.start_worker(name, *CHECKPOINTS)
        home.wait_for_all()
        contexts = losses.learn_in_peace()
        load.start()
        losses.run(args.losses)
        load.end()
        print(f"{losses.summary()}; {len(losses.jobs)} jobs; {load.calls} "
              f"classifications, {len(load.failures)} failed, the slowest took "
              f"{load.slowest:.1f} s")
        return losses.wrong + check(home, losses, contexts) + load.failures[:3]
    finally:
        load.stop.set()
        home.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--losses", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promptd-losses-") as folder:
        return house.report(run(folder, args))


if __name__ == "__main__":
    sys.exit(main())
