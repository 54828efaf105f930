"""kill -9 of the front end, again and again, while jobs are submitted.

usage: front_end_kills.py [--kills 100] [--seed 1]

Four clients submit jobs, each under a request id of its own, and write down what
was acknowledged. Between 50 and 800 ms after each start promptd is killed and
started again on the same folder. A client whose call got no answer sends it again
under the same id. In the end:

- every acknowledged job is there, under the number that was acknowledged;
- no submission made two jobs;
- every job has ended, and its events are a history that jobs/job_state.h allows;
- the versions are numbered without gaps, one for each job that succeeded;
- the database passes its integrity check.

Environment as for tests/e2e/python/promptd_process.py.
"""
import argparse
import collections
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

import house
import images
import job_histories
import promptd_process
import reflected_client
import workbench

CLIENTS = 4
# What a call may end with when the server dies, or is away.
NO_ANSWER = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN"}


def template_of(submission):
    return f"photo {submission} of a {{}}."


def submission_of(job):
    """What a job came from: each submission has a text of its own."""
    return int(job.spec.text_templates[0].split()[1])


class Service:
    """The promptd of the moment."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        self.server = None
        self.start()

    def start(self):
        # Small batches: fewer to warm up at each of the many starts.
        server = promptd_process.Promptd(self.folder, "--max-batch", "1",
                                         "--threads", "1")
        with self.lock:
            self.server = server

    def address(self):
        with self.lock:
            return self.server.grpc


class Submitter(threading.Thread):
    """Submits until `stop`, then until all it began is acknowledged."""

    def __init__(self, service, log, number, stop):
        super().__init__()
        self.service, self.stop, self.number = service, stop, number
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.draw = random.Random(number)
        self.acknowledged = {}  # submission -> job
        self.unanswered = 0
        self.faults = []
        self.bench = self.at = None

    def connect(self):
        if self.at != self.service.address():
            if self.bench is not None:
                self.bench.close()
            self.at = self.service.address()
            self.bench = workbench.Bench(self.at)

    def submit(self, submission):
        """Whether it was acknowledged."""
        try:
            self.connect()
            job = self.bench.call(
                "TrainingService", "CreateTrainingJob", timeout=5,
                request_id=f"request-{submission}",
                spec=dict(task=house.TASK, dataset=house.DATASET,
                          method="zero_shot",
                          text_templates=[template_of(submission)]))
        except reflected_client.RpcFailure as failure:
            if failure.reason == "TOO_MANY_JOBS":
                return False
            if failure.code.name not in NO_ANSWER:
                self.faults.append(str(failure))
                self.stop.set()
                return True  # never to be acknowledged
            self.unanswered += 1
            return False
        except Exception:  # reflection over a dying connection
            self.unanswered += 1
            self.at = None
            return False
        os.write(self.log, f"{submission} {job.id}\n".encode())
        os.fsync(self.log)
        self.acknowledged[submission] = job.id
        return True

    def run(self):
        submission = self.number
        while not self.stop.is_set():
            while not self.submit(submission):
                time.sleep(0.2)
            submission += CLIENTS
            time.sleep(self.draw.uniform(0.05, 0.3))
        os.close(self.log)
        self.bench.close()


def check(service, acknowledged):
    """What does not hold."""
    wrong = []
    bench = workbench.Bench(service.address())

    def all_jobs():
        return bench.pages("TrainingService", "ListTrainingJobs", "jobs")

    def unfinished():
        return [job.id for job in all_jobs() if not job.done]

    workbench.wait_for(lambda: not unfinished(), 600, "all jobs to end")
    jobs = list(all_jobs())
    by_id = {job.id: job for job in jobs}
    made = collections.Counter(map(submission_of, jobs))
    for submission, count in made.items():
        if count != 1:
            wrong.append(f"submission {submission} made {count} jobs")
    for submission, job in acknowledged.items():
        if job not in by_id:
            wrong.append(f"job {job} was acknowledged and is lost")
        elif submission_of(by_id[job]) != submission:
            wrong.append(f"job {job} is another one than was acknowledged")
    if set(made) != set(acknowledged):
        wrong.append("jobs that nobody submitted: "
                     f"{sorted(set(made) - set(acknowledged))[:5]}")
    published = []
    for job in jobs:
        events = list(bench.events(job.id))
        wrong += job_histories.faults(job, events)
        if job.state == workbench.SUCCEEDED:
            published.append(job.version)
        elif job.error_reason != "WORKER_LOST":
            wrong.append(f"job {job.id} ended with {job.error_reason}: "
                         f"{job.error_message}")
    versions = [v.version for v in bench.pages(
        "PromptService", "ListVersions", "versions", task=house.TASK)]
    wrong += job_histories.version_faults(published, versions)
    lost = sum(job.state != workbench.SUCCEEDED for job in jobs)
    print(f"{len(jobs)} jobs, {len(versions)} versions, {lost} given up after "
          "three lost workers")
    bench.close()
    return wrong


def run(folder, kills, seed):
    draw = random.Random(seed)
    service, stop = Service(folder), threading.Event()
    bench = workbench.Bench(service.address())
    bench.push(house.DATASET, images.CLASSES, images.tiny_dataset())
    bench.close()
    clients = [Submitter(service, folder / f"acknowledged-{i}", i + 1, stop)
               for i in range(CLIENTS)]
    for client in clients:
        client.start()
    begin = time.monotonic()
    for _ in range(kills):
        time.sleep(draw.uniform(0.05, 0.8))
        service.server.kill()
        service.start()
    stop.set()
    for client in clients:
        client.join()
    acknowledged = {k: v for c in clients for k, v in c.acknowledged.items()}
    print(f"{kills} kills in {time.monotonic() - begin:.0f} s: "
          f"{len(acknowledged)} submissions acknowledged, "
          f"{sum(c.unanswered for c in clients)} calls without an answer")
    wrong = [fault for c in clients for fault in c.faults]
    if kills >= 20 and not sum(c.unanswered for c in clients):
        wrong.append("no kill met a call: this run shows nothing")
    wrong += check(service, acknowledged)
    if service.server.stop() != 0:
        wrong.append("the last promptd did not stop well")
    if service.server.integrity() != "ok":
        wrong.append(f"integrity_check: {service.server.integrity()}")
    return wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promptd-kills-") as folder:
        wrong = run(pathlib.Path(folder), args.kills, args.seed)
    return house.report(wrong)


if __name__ == "__main__":
    sys.exit(main())
