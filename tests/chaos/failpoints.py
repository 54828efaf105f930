"""A process dies, hangs or fails at each named step, and nothing is lost.

usage: failpoints.py [NAME ...]

promptd and promptd-worker run with PROMPTD_FAILPOINTS (common/failpoint.h), one
point at a time. Each time the log must say that the point was reached; the
process is started again without, what had no answer is sent again, and then what
a user has must be whole: every dataset, one job a request, one version a job, one
move of an alias.

Environment as for tests/e2e/python/promptd_process.py.
"""
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import house
import images
import job_histories
import promptd_process
import reflected_client
import workbench

QUICK = ("--max-batch", "1", "--threads", "1")
ITEMS = images.tiny_dataset(train=2, test=1)


class Wrong(Exception):
    """What does not hold."""


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def reached(program, point):
    """How often the log says that a point fired."""
    count = 0
    for line in program.log.read_text(errors="replace").splitlines():
        if '"failpoint"' in line:
            count += json.loads(line).get("point") == point
    return count


def await_death(program, point):
    """By the failpoint's own hand."""
    workbench.wait_for(lambda: not program.alive(), 60,
                       f"{program.name} to die at {point}")
    expect(program.process.wait() == -signal.SIGKILL,
           f"{point}: {program.name} ended with {program.process.returncode}")
    expect(reached(program, point) == 1, f"{point} is not in the log")


class Front:
    """A front end with a worker of its own, on one folder for all points."""

    def __init__(self, folder):
        self.folder = folder
        self.server = self.bench = None

    def start(self, failpoints=""):
        if self.server is not None:
            self.bench.close()
            self.server.kill()
        self.server = promptd_process.Promptd(self.folder, *QUICK,
                                              failpoints=failpoints)
        self.bench = workbench.Bench(self.server.grpc)

    def push(self, name):
        """All of a push, as often as it is sent."""
        items = [(path, data, index, split)
                 for path, data, index, split in ITEMS]
        return self.bench.push(name, images.CLASSES, items)

    def train(self, name, method="zero_shot", **spec):
        return self.bench.call(
            "TrainingService", "CreateTrainingJob",
            request_id=f"train-{name}", fresh=True,
            spec=dict(task=name, dataset=name, method=method, **spec))

    def evaluate(self, name):
        return self.bench.call(
            "PromptService", "CreateEvaluation", request_id=f"eval-{name}",
            spec=dict(version=dict(task=name, version=1), dataset=name))

    def move(self, name):
        return self.bench.call("PromptService", "SetAlias", task=name,
                               name="candidate", version=1)

    def finish(self, job):
        return self.bench.finish(job.id)[0]

    def scenario(self, name):
        """Everything, once; may be begun again after it broke off."""
        self.push(name)
        job = self.finish(self.train(name))
        expect(job.state == workbench.SUCCEEDED,
               f"{name}: {job.error_reason} {job.error_message}")
        evaluation = self.finish(self.evaluate(name))
        expect(evaluation.state == workbench.SUCCEEDED,
               f"{name}: {evaluation.error_reason}")
        self.move(name)

    def check(self, name):
        """Once and whole."""
        call = self.bench.call
        jobs = call("TrainingService", "ListTrainingJobs", task=name).jobs
        expect(len(jobs) == 2, f"{name}: {len(jobs)} jobs of two requests")
        versions = call("PromptService", "ListVersions", task=name).versions
        expect([v.version for v in versions] == [1],
               f"{name}: {len(versions)} versions of one job")
        call("PromptService", "ExportVersion", task=name, version=1)
        evaluations = call("PromptService", "ListEvaluations", task=name,
                           version=1).evaluations
        expect(len(evaluations) == 2, f"{name}: {len(evaluations)} evaluations")
        moves = call("PromptService", "ListAliasHistory", task=name,
                     name="candidate").moves
        expect(len(moves) == 1, f"{name}: {len(moves)} moves of one order")
        reply = self.bench.classify(name, [ITEMS[0][1]])
        expect(reply.version == 1, f"{name}: does not serve")


# Where the front end is killed, and at which passing.
KILLS = ["dataset.commit", "dataset.committed", "job.created", "job.leased",
         "version.publish", "version.published", "evaluation.stored",
         "alias.moved", "blob.write@2", "blob.rename@2", "db.commit@9",
         "db.committed@9"]


def kill_the_front_end(front, place):
    """At one step; the whole scenario is sent again."""
    point, _, number = place.partition("@")
    name = point.replace(".", "-")
    front.start(f"{point}=kill@{number or 1}")
    try:
        front.scenario(name)
        raise Wrong(f"{point}: the scenario does not come to it")
    except reflected_client.RpcFailure as failure:
        expect(failure.code.name in ("UNAVAILABLE", "CANCELLED", "UNKNOWN"),
               f"{point}: {failure}")
    except AssertionError as death:  # the tools' own, of a connection that died
        expect(not front.server.alive(), f"{point}: {death}")
    await_death(front.server, point)
    front.start()
    front.scenario(name)
    front.check(name)


def kills(folder):
    """Killed at every step between a commit and its reply, and before."""
    front = Front(folder)
    for place in KILLS:
        kill_the_front_end(front, place)
    expect(front.server.stop() == 0, "promptd did not stop well")
    expect(front.server.integrity() == "ok",
           f"integrity_check: {front.server.integrity()}")
    left = list((front.server.data_dir / "blobs/tmp").iterdir())
    expect(not left, f"half-written blobs: {left}")


def lost_three_times(folder):
    """A job that takes its process with it is set aside at the third time."""
    front = Front(folder)
    front.start("training.step=kill")
    front.push("fatal")
    job = front.train("fatal", method="coop", shots=2, epochs=2)
    await_death(front.server, "training.step")
    for times in (2, 3):
        try:
            front.start("training.step=kill")
            workbench.wait_for(lambda: not front.server.alive(), 60, "death")
        except RuntimeError:  # it died before it was ready
            pass
        expect(reached(front.server, "training.step") == times,
               "training.step: not reached again")
    front.start("training.step=kill")
    job = front.finish(job)
    expect(job.state == workbench.FAILED and job.error_reason == "WORKER_LOST",
           f"after three losses it is {job.state} {job.error_reason}")
    expect(front.server.alive(), "the job was tried a fourth time")
    front.server.kill()


def retried(folder):
    """What may pass is tried again, what has to be paused is."""
    front = Front(folder)
    front.start("training.step=error(UNAVAILABLE)@2")
    front.push("again")
    job = front.train("again", method="coop", shots=2, epochs=2)
    job = front.finish(job)
    expect(job.state == workbench.SUCCEEDED, f"{job.error_reason}")
    expect(job.attempt == 2, f"it took {job.attempt} attempts, not 2")
    expect(reached(front.server, "training.step") == 1, "never reached")
    expect("failpoints_armed" in front.server.log.read_text(),
           "promptd does not say at its start that it fails on purpose")
    front.server.kill()


def refused(folder):
    """A text that means nothing stops the start, and says why."""
    for text, why in (("blob.writ=kill", "blob.write"),
                      ("job.created=error(EIO)", "cannot fail by itself")):
        result = subprocess.run(
            [promptd_process.program("PROMPTD_BIN"), "--data-dir",
             str(folder / "none"), "--listen", "127.0.0.1:0"],
            env=promptd_process.environment(text), capture_output=True,
            text=True, timeout=60)
        expect(result.returncode == 1, f"{text}: {result.returncode}")
        expect(why in result.stderr, f"{text}: {result.stderr}")
    expect(not (folder / "none/promptd.db").exists(), "it began all the same")


class Fleet:
    """A front end without a worker of its own, and workers elsewhere."""

    def __init__(self, folder, lease=house.LEASE_SECONDS):
        self.folder, self.lease = folder, lease
        self.token = promptd_process.token_file(folder)
        self.workers = {}
        self.listen = "127.0.0.1:0"
        self.start()
        self.bench.push("shapes", images.CLASSES, ITEMS)

    def start(self, failpoints=""):
        self.server = promptd_process.front_end(
            self.folder / "front", self.token, self.lease, listen=self.listen,
            failpoints=failpoints)
        self.listen = self.server.workers
        self.bench = workbench.Bench(self.server.grpc)

    def add(self, name, failpoints=""):
        self.workers[name] = promptd_process.Worker(
            self.folder / name, self.server.workers, self.token, "--id", name,
            *QUICK, "--checkpoint-interval", "100ms", failpoints=failpoints)
        workbench.wait_for(lambda: name in self.bench.ready_workers(), 60, f"{name} to serve")
        return self.workers[name]

    def train(self, request, epochs=200):
        return self.bench.train(
            request_id=request, task="shapes", dataset="shapes", shots=2,
            context_tokens=4, epochs=epochs, batch_size=4, seed=3).id

    def expect_done(self, job_id, owners, number):
        job, events = self.bench.finish(job_id)
        expect(job.state == workbench.SUCCEEDED,
               f"job {job_id}: {job.error_reason} {job.error_message}")
        ran_on = job_histories.owners(events)
        expect(ran_on == owners, f"job {job_id} ran on {ran_on}, not {owners}")
        versions = self.bench.call("PromptService", "ListVersions",
                                   task="shapes").versions
        expect(sorted(v.version for v in versions) ==
               list(range(1, number + 1)),
               f"{len(versions)} versions of {number} jobs")
        return self.bench.export("shapes", job.version).context

    def stop(self):
        for program in [*self.workers.values(), self.server]:
            program.kill()


def workers(folder):
    """A worker dies, hangs or is cut off at every step; its job goes on."""
    fleet = Fleet(folder)
    expected = None
    for number, (point, action) in enumerate(
            [("training.step", "kill@7"), ("checkpoint.save", "kill@2"),
             ("checkpoint.saved", "kill@2")], 1):
        bad = fleet.add(f"bad{number}", f"{point}={action}")
        job = fleet.train(f"job-{number}")
        await_death(bad, point)
        fleet.add("good")
        context = fleet.expect_done(job, [f"bad{number}", "good"], number)
        expected = expected or context
        # The bits of a job do not tell where it was broken off.
        expect(context == expected, f"{point}: other bits than before")
        fleet.workers["good"].kill()
        workbench.wait_for(lambda: not fleet.bench.ready_workers(), 30, "nobody to serve")
    fleet.stop()


def cut_off(folder):
    """Beats that are lost, a hang past the lease, a release nobody hears."""
    fleet = Fleet(folder)
    hung = fleet.add("hung", "lease.heartbeat=error(UNAVAILABLE)@2+;"
                             "training.step=pause(6s)@9")
    job = fleet.train("hangs")
    workbench.wait_for(lambda: reached(hung, "training.step"), 60, "the hang")
    fleet.add("other")
    fleet.expect_done(job, ["hung", "other"], 1)
    expect(reached(hung, "lease.heartbeat") >= 1, "no beat was lost")
    hung.kill()
    fleet.workers["other"].kill()
    workbench.wait_for(lambda: not fleet.bench.ready_workers(), 30, "nobody to serve")

    leaving = fleet.add("leaving", "job.release=error(UNAVAILABLE)")
    job = fleet.train("released", epochs=4000)
    workbench.wait_for(
        lambda: any(e.progress.phase == "train"
                    for e in fleet.bench.events(job)), 60, "training")
    leaving.stop()
    expect(reached(leaving, "job.release") == 1, "job.release: not reached")
    state = fleet.bench.call("TrainingService", "GetTrainingJob", id=job)
    expect(state.state == 1, f"job {job} is not queued but {state.state}")
    fleet.bench.call("TrainingService", "CancelTrainingJob", id=job)
    fleet.stop()


def front_end_away(folder):
    """Killed behind the commit of a beat; its worker goes on."""
    fleet = Fleet(folder, lease=30)  # a restart may take long
    fleet.add("w1")
    fleet.server.kill()
    fleet.start("lease.beaten=kill@1;wire.blob=error(UNAVAILABLE)@2")
    workbench.wait_for(fleet.bench.ready_workers, 60, "the worker to come back")
    job = fleet.train("beats", epochs=1000)
    await_death(fleet.server, "lease.beaten")
    expect(reached(fleet.server, "wire.blob") == 1, "wire.blob: not reached")
    fleet.start()
    fleet.expect_done(job, ["w1"], 1)
    fleet.stop()


CASES = [refused, kills, lost_three_times, retried, workers, cut_off,
         front_end_away]


def main():
    chosen = sys.argv[1:]
    wrong = 0
    for case in CASES:
        if chosen and case.__name__ not in chosen:
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="promptd-points-") as folder:
            try:
                case(pathlib.Path(folder))
                verdict = "ok"
            except (Wrong, AssertionError, RuntimeError,
                    reflected_client.RpcFailure) as fault:
                wrong += 1
                verdict = f"WRONG: {fault}"
        print(f"{case.__name__}: {verdict} "
              f"({time.monotonic() - begin:.1f} s)", flush=True)
    print(f"{wrong} things wrong" if wrong else "OK")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
