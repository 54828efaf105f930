"""What the chaos programs share: a front end, workers, jobs, calls, checks."""
import pathlib
import random
import signal
import sys
import threading
import time

import grpc

E2E = pathlib.Path(__file__).resolve().parents[1] / "e2e/python"
sys.path.insert(0, str(E2E))
import images  # noqa: E402
import job_histories  # noqa: E402
import promptd_process  # noqa: E402
import reflected_client  # noqa: E402
import workbench  # noqa: E402

TASK = DATASET = "shapes"
# promptd's default is 15 s; a short one keeps these programs short.
LEASE_SECONDS = 3


class House:
    """A front end that computes nothing, and workers of one thread each."""

    def __init__(self, folder, lease=LEASE_SECONDS):
        self.folder = pathlib.Path(folder)
        self.token = promptd_process.token_file(self.folder)
        self.server = promptd_process.front_end(
            self.folder / "front", self.token, lease, "--log-level", "warning")
        self.bench = workbench.Bench(self.server.grpc)
        self.workers = {}
        self.items = images.tiny_dataset()
        self.bench.push(DATASET, images.CLASSES, self.items)

    def start_worker(self, name, *extra, frontend=None):
        self.workers[name] = promptd_process.Worker(
            self.folder / name, frontend or self.server.workers, self.token,
            "--id", name, "--threads", "1", "--max-batch", "1", *extra)

    def wait_for_all(self, seconds=120):
        try:
            workbench.wait_for(lambda: self.bench.ready_workers() == set(self.workers),
                               seconds, "all workers to serve")
        except AssertionError as error:
            missing = set(self.workers) - self.bench.ready_workers()
            raise AssertionError("\n".join([str(error), *(
                f"{name}:\n{self.workers[name].tail()}"
                for name in sorted(missing))])) from None

    def running(self):
        """The newest jobs that run."""
        jobs = self.bench.call("TrainingService", "ListTrainingJobs",
                               page_size=200).jobs
        return [job for job in jobs if job.state == job_histories.RUNNING]

    def history(self, number):
        """The job's events so far."""
        last = self.bench.call("TrainingService", "GetTrainingJob",
                               id=number).last_sequence
        events = []
        for event in self.bench.events(number):
            events.append(event)
            if event.sequence >= last:
                break
        return events

    def close(self):
        for worker in self.workers.values():
            worker.signal(signal.SIGCONT)
            worker.kill()
        self.bench.close()
        self.server.kill()


class Submitter(threading.Thread):
    """Keeps `at_once` jobs unfinished until `stop`; `spec_of(i)` is the i-th
    one's specification."""

    def __init__(self, house, at_once, spec_of):
        super().__init__()
        self.bench = workbench.Bench(house.server.grpc)
        self.at_once, self.spec_of = at_once, spec_of
        self.stop = threading.Event()
        self.jobs = []

    def run(self):
        unfinished = []
        while not self.stop.is_set():
            while len(unfinished) < self.at_once:
                try:
                    job = self.bench.train(**self.spec_of(len(self.jobs)))
                except reflected_client.RpcFailure as failure:
                    # No worker could be asked: "try again in a moment".
                    if failure.code != grpc.StatusCode.UNAVAILABLE:
                        raise
                    time.sleep(0.2)
                    continue
                unfinished.append(job.id)
                self.jobs.append(job.id)
            unfinished = [i for i in unfinished if not self.bench.call(
                "TrainingService", "GetTrainingJob", id=i).done]
            time.sleep(0.2)
        self.bench.close()

    def end(self):
        self.stop.set()
        self.join()


class Classifier(threading.Thread):
    """Classifies, call after call, until `stop`."""

    def __init__(self, house, seed=1):
        super().__init__()
        self.bench = workbench.Bench(house.server.grpc)
        self.items = house.items
        self.draw = random.Random(seed)
        self.stop = threading.Event()
        self.calls, self.failures, self.slowest = 0, [], 0.0

    def run(self):
        while not self.stop.is_set():
            self.calls += 1
            begin = time.monotonic()
            try:
                self.bench.call(
                    "ClassifyService", "ZeroShotClassify",
                    labels=images.CLASSES, no_cache=True,
                    images=[self.draw.choice(self.items)[1]])
            except reflected_client.RpcFailure as failure:
                self.failures.append(str(failure))
            self.slowest = max(self.slowest, time.monotonic() - begin)
        self.bench.close()

    def end(self):
        self.stop.set()
        self.join()


def check_jobs(house, numbers, may_be_lost=False):
    """Waits for the jobs' ends. (what does not hold, the jobs that
    succeeded): every history is one that jobs/job_state.h allows, every job
    succeeded with one version, and the versions have no gaps. `may_be_lost`:
    some may have lost three workers without a new checkpoint."""
    wrong, succeeded = [], []
    for number in numbers:
        job, events = house.bench.finish(number)
        wrong += job_histories.faults(job, events)
        if job.state == workbench.SUCCEEDED:
            succeeded.append((job, events))
        elif not (may_be_lost and job.error_reason == "WORKER_LOST"):
            wrong.append(f"job {number} ended with {job.error_reason}: "
                         f"{job.error_message}")
    versions = house.bench.pages("PromptService", "ListVersions", "versions",
                                 task=TASK)
    wrong += job_histories.version_faults([job.version for job, _ in succeeded],
                                          [v.version for v in versions])
    return wrong, succeeded


def report(wrong):
    """The exit status."""
    for line in wrong[:20]:
        print(f"WRONG: {line}")
    print(f"{len(wrong)} things wrong" if wrong else "OK", flush=True)
    return 1 if wrong else 0
