"""Workers that are restarted one after the other while others train and classify.

usage: rolling_restarts.py [--restarts 9] [--kills 3]

A front end that computes nothing and three workers, with a lease of 3 s (the
default is 15 s; a short one keeps this short). Four jobs are queued or running at
any time, and calls are classified all the while. `--restarts` times a worker is
stopped (SIGTERM) and started again, each in its turn; then `--kills` times one is
lost without a word, killed (kill -9) or stopped (SIGSTOP) in turns. In the end:

- every classification was answered;
- every job has succeeded with one version, the versions are numbered without
  gaps, the histories are ones that jobs/job_state.h allows;
- no restart cost a job an attempt;
- the slowest call beside each loss is told: within a second its calls go
  elsewhere.

Environment as for tests/e2e/python/promptd_process.py.
"""
import argparse
import signal
import sys
import tempfile
import time

import house

WORKERS = ("w1", "w2", "w3")
JOB = dict(task=house.TASK, dataset=house.DATASET, shots=8, context_tokens=4,
           epochs=200, batch_size=8)
CHECKPOINTS = ("--checkpoint-interval", "300ms")


def restart(home, count):
    """What does not hold."""
    for i in range(count):
        name = WORKERS[i % len(WORKERS)]
        worker = home.workers[name]
        if worker.stop() != 0:
            return [f"{name} did not stop well: {worker.tail()}"]
        home.start_worker(name, *CHECKPOINTS)
        home.wait_for_all()
    return []


def lose(home, load, count):
    """The slowest call beside each loss, in seconds."""
    slowest = []
    for i in range(count):
        name = WORKERS[i % len(WORKERS)]
        worker = home.workers[name]
        load.slowest = 0.0
        worker.signal((signal.SIGKILL, signal.SIGSTOP)[i % 2])
        time.sleep(2.5)
        slowest.append(load.slowest)
        worker.kill()
        home.start_worker(name, *CHECKPOINTS)
        home.wait_for_all()
    return slowest


def run(folder, args):
    home = house.House(folder)
    load = house.Classifier(home)
    submitter = house.Submitter(home, 4, lambda i: dict(JOB, seed=i + 1))
    try:
        for name in WORKERS:
            home.start_worker(name, *CHECKPOINTS)
        home.wait_for_all()
        submitter.start()
        load.start()
        begin = time.monotonic()
        wrong = restart(home, args.restarts)
        seconds, restarted_with = time.monotonic() - begin, load.calls
        slowest_restart = load.slowest
        lost = len(submitter.jobs)
        slowest = lose(home, load, args.kills)
        submitter.end()
        load.end()
        more, succeeded = house.check_jobs(home, submitter.jobs)
        if args.restarts and not any("given back" in e.message for _, events
                                     in succeeded for e in events):
            wrong.append("no job was given back: this run shows nothing")
        wrong += [f"job {job.id} needed {job.attempt} attempts"
                  for job, _ in succeeded
                  if job.id < submitter.jobs[max(0, lost - 4)]
                  and job.attempt != 1]
        print(f"{args.restarts} restarts in {seconds:.0f} s beside "
              f"{restarted_with} classifications, the slowest of "
              f"{slowest_restart:.2f} s; {len(load.failures)} of {load.calls} "
              f"failed; {len(submitter.jobs)} jobs, {len(succeeded)} succeeded; "
              "slowest call beside each loss: "
              + (", ".join(f"{s:.2f}" for s in slowest) or "-") + " s")
        return wrong + more + load.failures[:3]
    finally:
        load.stop.set()
        submitter.stop.set()
        home.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--restarts", type=int, default=9)
    parser.add_argument("--kills", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promptd-rolling-") as folder:
        return house.report(run(folder, args))


if __name__ == "__main__":
    sys.exit(main())
