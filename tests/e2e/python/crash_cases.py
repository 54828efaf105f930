"""kill -9 in the middle of a job: it finishes, bit for bit the same."""
import pathlib
import tempfile
import time

import images
import promptd_process
import workbench

# promptd writes a checkpoint every 5 s: one is there when we kill.
KILL_AFTER_SECONDS = 8.0
FIRST_EPOCHS, MAX_EPOCHS = 200, 10_000


class CrashCase(workbench.Case):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="promptd-crash-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.items = images.tiny_dataset()

    def start(self, name):
        server = promptd_process.Promptd(self.folder / name)
        self.addCleanup(server.kill)
        bench = workbench.Bench(server.grpc)
        self.addCleanup(bench.close)
        return server, bench

    def submit(self, bench, epochs):
        bench.push("shapes", images.CLASSES, self.items)
        return bench.train(task="shapes", dataset="shapes", shots=8,
                           context_tokens=4, epochs=epochs, batch_size=8,
                           seed=3).id

    def finish_well(self, server, bench, job_id, from_sequence=1):
        """Follows the job to success and stops the server."""
        job, events = bench.finish(job_id, from_sequence)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        context = bench.export("shapes", job.version).context
        self.assertEqual(server.stop(), 0, server.tail())
        return job, events, context

    def kill_in_the_middle(self, server, bench, job_id, epochs):
        """kill -9 with a checkpoint behind and work ahead; the last event
        that was seen, or None when the job is too fast for that."""
        began = None
        for event in bench.events(job_id):
            if event.progress.phase != "train":
                continue
            began = began or time.monotonic()
            if event.progress.epoch > 0.8 * epochs:
                break
            if time.monotonic() - began >= KILL_AFTER_SECONDS:
                server.kill()
                bench.close()
                return event
        server.stop()
        return None

    def interrupted_run(self, epochs):
        """(job, events after the restart, context), or None: too fast."""
        name = f"crashed-{epochs}"
        server, bench = self.start(name)
        job_id = self.submit(bench, epochs)
        last = self.kill_in_the_middle(server, bench, job_id, epochs)
        if last is None:
            return None
        killed = time.time()
        server, bench = self.start(name)
        job, events, context = self.finish_well(server, bench, job_id,
                                                last.sequence + 1)
        # What was seen before the kill stays: the log goes on after it.
        self.assertEqual(events[0].sequence, last.sequence + 1)
        if job.end_time.ToNanoseconds() * 1e-9 < killed:
            return None
        return job, events, context

    def test_kill_in_the_middle_changes_no_bit(self):
        epochs, outcome = FIRST_EPOCHS, None
        while outcome is None:
            self.assertLessEqual(epochs, MAX_EPOCHS, "no job was long enough")
            outcome = self.interrupted_run(epochs)
            used, epochs = epochs, epochs * 4
        job, events, context = outcome
        self.assertTrue(any("worker was lost" in e.message for e in events),
                        [e.message for e in events])
        lowest = min(e.progress.epoch for e in events
                     if e.progress.phase == "train")
        self.assertGreater(lowest, 0, "it began again instead of resuming")

        server, bench = self.start("calm")
        calm, _, expected = self.finish_well(server, bench,
                                             self.submit(bench, used))
        self.assertEqual(context, expected)
        # Each server has its own message classes, so fields are compared.
        for field in ("images", "accuracy", "macro_f1", "zero_shot_accuracy",
                      "ece"):
            self.assertAlmostEqual(getattr(job.result, field),
                                   getattr(calm.result, field), 5, field)

    def test_sigterm_gives_the_job_back_and_a_cancel_outlives_it(self):
        server, bench = self.start("drained")
        job_id = self.submit(bench, 10_000)
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
