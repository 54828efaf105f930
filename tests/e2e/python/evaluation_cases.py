"""Evaluations of versions, held to classification's own answers."""
import collections
import json

import images
import promptd_process
import workbench


class EvaluationCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.items = images.tiny_dataset()
        cls.bench.push("shapes", images.CLASSES, cls.items)
        job = cls.bench.train(task="shapes", dataset="shapes", shots=4,
                              context_tokens=4, epochs=10, seed=1)
        cls.job, _ = cls.bench.finish(job.id)

    def evaluate(self, dataset, **more):
        spec = dict(version=dict(task="shapes"), dataset=dataset, **more)
        job = self.bench.call("PromptService", "CreateEvaluation", spec=spec)
        job, _ = self.bench.finish(job.id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        return self.bench.call("PromptService", "GetEvaluation", id=job.id)

    def test_counts_what_classify_answers(self):
        # The training images as another dataset's test split, two classes
        # of the three, in the other order.
        order = [2, 0]
        part = [(path, data, order.index(index), images.TEST)
                for path, data, index, split in self.items
                if split == images.TRAIN and index in order]
        self.bench.push("other", [images.CLASSES[i] for i in order], part)
        stored = self.evaluate("other")
        self.assertEqual((stored.task, stored.version), ("shapes", 1))
        self.assertEqual(stored.result.images, 16)

        reply = self.bench.classify("shapes", [data for _, data, _, _ in part],
                                    top_k=3)
        expected = collections.Counter()
        for (_, _, label, _), answer in zip(part, reply.results):
            best = next(score.class_index for score in answer.scores
                        if score.class_index in order)
            expected[label, order.index(best)] += 1
        counted = {(c.label, c.answer): c.images
                   for c in stored.result.confusion}
        self.assertEqual(counted, dict(expected))
        hits = sum(n for (label, answer), n in expected.items()
                   if label == answer)
        self.assertAlmostEqual(stored.result.accuracy, hits / 16, places=9)

    def test_on_its_own_dataset_repeats_the_jobs_result(self):
        again = self.evaluate("shapes")
        self.assertEqual(again.result, self.job.result)
        listed = self.bench.call("PromptService", "ListEvaluations",
                                 task="shapes", version=1).evaluations
        self.assertIn(again.id, [e.id for e in listed])
        self.assertEqual(listed[-1].id, self.job.id)

    def test_other_classes_are_refused(self):
        data = self.items[0][1]
        self.bench.push("ships", ["ship"], [("a.png", data, 0, images.TEST)])
        failure = self.assert_refused(
            "FAILED_PRECONDITION", "CLASSES_DIFFER", self.bench.call,
            "PromptService", "CreateEvaluation",
            spec=dict(version=dict(task="shapes"), dataset="ships"))
        self.assertIn('"ship"', failure.message)

    def test_promptctl_waits_and_prints(self):
        done = promptd_process.promptctl("-o", "json", "eval", "shapes:1",
                                         "shapes", server=self.server.grpc)
        self.assertEqual(done.returncode, 0, done.stderr)
        job = json.loads(done.stdout)
        self.assertEqual(job["result"]["accuracy"], self.job.result.accuracy)
        done = promptd_process.promptctl("evaluation", "show",
                                         str(job["id"]), "--confusion",
                                         server=self.server.grpc)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("ANSWERED AS", done.stdout)
