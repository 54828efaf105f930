"""kill -9 in the middle of a job: it finishes, bit for bit the same."""
import pathlib
import tempfile

import images
import promptd_process
import workbench

# Long enough for several checkpoints (every 5 s) before and after the kill.
TARGET_SECONDS = 24.0
KILL_AT = 0.7  # of the job


def seconds(job):
    return (job.end_time.ToNanoseconds() -
            job.start_time.ToNanoseconds()) * 1e-9


class CrashCase(workbench.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="promptd-crash-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, name):
        server = promptd_process.Promptd(self.folder / name)
        self.addCleanup(server.kill)
        bench = workbench.Bench(server.grpc)
        self.addCleanup(bench.close)
        return server, bench

    def spec(self, epochs):
        return dict(task="shapes", dataset="shapes", shots=8,
                    context_tokens=4, epochs=epochs, batch_size=8, seed=3)

    def epochs_for_target(self, bench):
        """How many epochs take about TARGET_SECONDS on this machine."""
        times = []
        for epochs in (10, 60):
            spec = {**self.spec(epochs), "task": f"probe-{epochs}"}
            job, _ = bench.finish(bench.train(**spec).id)
            self.assertEqual(job.state, workbench.SUCCEEDED,
                             job.error_message)
            times.append(seconds(job))
        per_epoch = max((times[1] - times[0]) / 50, 1e-3)
        return max(60, min(10_000, int(TARGET_SECONDS / per_epoch)))

    def test_kill_in_the_middle_changes_no_bit(self):
        items = images.tiny_dataset()
        server, bench = self.start("calm")
        bench.push("shapes", images.CLASSES, items)
        epochs = self.epochs_for_target(bench)
        calm, _ = bench.finish(bench.train(**self.spec(epochs)).id)
        self.assertEqual(calm.state, workbench.SUCCEEDED, calm.error_message)
        expected = bench.export("shapes", calm.version)
        self.assertEqual(server.stop(), 0, server.tail())

        server, bench = self.start("crashed")
        bench.push("shapes", images.CLASSES, items)
        job_id = bench.train(**self.spec(epochs)).id
        last = self.kill_when_deep_in(server, bench, job_id, epochs)

        server, bench = self.start("crashed")
        job, events = bench.finish(job_id, last.sequence + 1)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        self.assertGreaterEqual(job.attempt, 2, "the job was not interrupted")
        lowest = min(e.progress.epoch for e in events
                     if e.progress.phase == "train")
        self.assertGreater(lowest, 0.2 * epochs,
                           "the job began again instead of resuming")
        self.assertEqual(events[0].sequence, last.sequence + 1)
        got = bench.export("shapes", job.version)
        self.assertEqual(got.context, expected.context)
        self.assertEqual(job.result, calm.result)
        self.assertEqual(server.stop(), 0, server.tail())

    def kill_when_deep_in(self, server, bench, job_id, epochs):
        """kill -9 at KILL_AT of the job; the last event that was seen."""
        for event in bench.events(job_id):
            self.assertNotEqual(event.state, workbench.SUCCEEDED,
                                "the job ended before it could be killed")
            if (event.progress.phase == "train" and
                    event.progress.epoch >= KILL_AT * epochs):
                server.kill()
                bench.close()
                return event
        raise AssertionError("the watch ended before the job did")

    def test_sigterm_gives_the_job_back_and_a_cancel_outlives_it(self):
        items = images.tiny_dataset()
        server, bench = self.start("drained")
        bench.push("shapes", images.CLASSES, items)
        job_id = bench.train(**self.spec(2000)).id
        for event in bench.events(job_id):
            if event.progress.phase == "train":
                break
        self.assertEqual(server.stop(), 0, server.tail())
        server, bench = self.start("drained")
        cancelled = bench.call("TrainingService", "CancelTrainingJob",
                               id=job_id)
        self.assertEqual(cancelled.spec.task, "shapes")
        job, _ = bench.finish(job_id)
        self.assertEqual(job.state, workbench.CANCELLED, job.error_message)
        self.assertEqual(server.stop(), 0, server.tail())
