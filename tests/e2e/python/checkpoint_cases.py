"""Checkpoints of a running and of a cancelled job: listed, made a version as
they are, classified with, and gone on from."""
import json

import images
import promptd_process
import workbench

LONG = 10_000  # epochs, more than the case waits for


class CheckpointCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.items = images.tiny_dataset()
        cls.bench.push("shapes", images.CLASSES, cls.items)

    def checkpoints(self, job_id):
        return self.bench.call("TrainingService", "ListCheckpoints",
                               id=job_id).checkpoints

    def cancel(self, job_id, **how):
        self.bench.call("TrainingService", "CancelTrainingJob", id=job_id,
                        **how)
        job, events = self.bench.finish(job_id)
        self.assertEqual(job.state, workbench.CANCELLED, job.error_message)
        return events

    def publish(self, task, job_id, number):
        return self.bench.train(task=task, dataset="shapes", epochs=0,
                                initial_checkpoint=dict(job=job_id,
                                                        number=number))

    def accuracy(self, task):
        test = [(data, index) for _, data, index, split in self.items
                if split == images.TEST]
        reply = self.bench.classify(task, [data for data, _ in test], top_k=1)
        right = sum(result.scores[0].class_name == images.CLASSES[index]
                    for result, (_, index) in zip(reply.results, test))
        return right / len(test)

    def test_from_a_running_job_to_answers(self):
        running = self.bench.train(task="shapes", dataset="shapes", shots=8,
                                   context_tokens=4, epochs=LONG,
                                   batch_size=8, seed=3).id
        # One comes every five seconds.
        workbench.wait_for(lambda: self.checkpoints(running), 60,
                           "a checkpoint")
        first = self.checkpoints(running)[-1]
        self.assertEqual(first.number, 1)
        self.assertGreater(first.step, 0)
        self.assertLess(first.epoch, LONG)
        early = self.publish("early", running, first.number)
        self.assertEqual(early.spec.initial_checkpoint.number, 1)

        # The end of the job is behind one more, of where it was then.
        self.cancel(running, after_checkpoint=True)
        listed = self.checkpoints(running)
        self.assertLessEqual(len(listed), 5)
        self.assertEqual([c.number for c in listed],
                         list(range(listed[0].number,
                                    listed[0].number - len(listed), -1)))
        self.assertGreater(listed[0].step, first.step)

        # What was published is that context, and answers.
        early, _ = self.bench.finish(early.id)
        self.assertEqual(early.state, workbench.SUCCEEDED,
                         early.error_message)
        late, _ = self.bench.finish(self.publish("late", running, 0).id)
        self.assertEqual(late.state, workbench.SUCCEEDED, late.error_message)
        self.assertEqual(late.spec.initial_checkpoint.number,
                         listed[0].number)
        self.assertNotEqual(self.bench.export("early", 1).context,
                            self.bench.export("late", 1).context)
        for task, job in (("early", early), ("late", late)):
            self.assertAlmostEqual(self.accuracy(task), job.result.accuracy,
                                   5, task)
        self.assertGreater(self.accuracy("late"), 1 / len(images.CLASSES))
        self.go_on_from(running, listed[0])
        self.by_hand(running, listed)

    def go_on_from(self, job_id, checkpoint):
        """A retry begins where the cancelled job was saved, and gets further. A
        report may come in the middle of its first step."""
        again = self.bench.call("TrainingService", "RetryTrainingJob",
                                id=job_id)
        for event in self.bench.events(again.id):
            if event.progress.phase != "train":
                continue
            self.assertGreaterEqual(event.progress.step, checkpoint.step)
            if event.progress.step > checkpoint.step:
                break
        else:
            self.fail("no report of a step behind the checkpoint's")
        self.cancel(again.id)

    def by_hand(self, job_id, listed):
        """The same with promptctl."""
        def run(*arguments, expect=0):
            done = promptd_process.promptctl(*arguments,
                                             server=self.server.grpc)
            self.assertEqual(done.returncode, expect, done.stderr)
            return done
        rows = json.loads(run("job", "checkpoints", job_id, "-o",
                              "json").stdout)
        self.assertEqual([row["step"] for row in rows],
                         [c.step for c in listed])
        run("train", "shapes", "--task", "hand", "--epochs", 0,
            "--init-checkpoint", f"{job_id}:{listed[-1].number}", "--wait")
        if listed[-1].number == 1:
            self.assertEqual(self.bench.export("hand", 1).context,
                             self.bench.export("early", 1).context)
        failed = run("train", "shapes", "--task", "hand", "--epochs", 0,
                     "--init-checkpoint", f"{job_id}:999", expect=3)
        self.assertIn("CHECKPOINT_NOT_FOUND", failed.stderr)

    def test_a_cancel_saves_a_job_that_had_no_checkpoint_yet(self):
        job = self.bench.train(task="shapes", dataset="shapes", shots=8,
                               context_tokens=4, epochs=LONG, seed=4).id
        for event in self.bench.events(job):
            if event.progress.phase == "train":
                break
        self.cancel(job, after_checkpoint=True)
        self.assertEqual(len(self.checkpoints(job)), 1)
        # A plain cancel afterwards has nothing to do.
        self.cancel(job)
