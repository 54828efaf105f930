"""Ways to adapt an encoder other than a context, on a real promptd."""
import json

import images
import promptd_process
import workbench

VAL = 2  # promptd.v1.Split
METHODS = {
    "class_prior": dict(shots=4),
    "image_encoder": dict(shots=4, epochs=5),
    "linear_probe": dict(shots=4),
    "text_bias": dict(shots=4, epochs=5),
    "text_transform": dict(shots=4, epochs=5),
    "zero_shot": dict(text_templates=["a photo of a {}.", "a drawing of {}."]),
}


class MethodCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.items = images.tiny_dataset()
        extra = images.tiny_dataset(train=0, test=4, seed=5)
        cls.items += [(path.replace("test/", "val/"), data, index, VAL)
                      for path, data, index, _ in extra]
        cls.bench.push("shapes", images.CLASSES, cls.items)
        cls.blobs = [data for _, data, _, split in cls.items
                     if split == images.TEST]
        cls.jobs = {}
        for method, fields in METHODS.items():
            job = cls.bench.train(task=f"by-{method}", dataset="shapes",
                                  method=method, **fields)
            cls.jobs[method], _ = cls.bench.finish(job.id)

    def answers(self, method, blobs=None):
        reply = self.bench.classify(f"by-{method}", blobs or self.blobs,
                                    top_k=3)
        return [(r.scores[0].class_index, round(r.scores[0].probability, 4))
                for r in reply.results]

    def test_each_learns_classifies_and_is_evaluated(self):
        labels = [index for _, _, index, split in self.items
                  if split == images.TEST]
        for method, job in self.jobs.items():
            self.assertEqual(job.state, workbench.SUCCEEDED,
                             f"{method}: {job.error_message}")
            answers = self.answers(method)
            right = sum(answer == label for (answer, _), label
                        in zip(answers, labels))
            # Classify answers what the job measured.
            self.assertAlmostEqual(job.result.accuracy, right / len(labels),
                                   places=9, msg=method)
            spec = dict(version=dict(task=f"by-{method}"), dataset="shapes")
            again = self.bench.call("PromptService", "CreateEvaluation",
                                    spec=spec)
            again, _ = self.bench.finish(again.id)
            self.assertEqual(again.state, workbench.SUCCEEDED)
            self.assertAlmostEqual(again.result.accuracy, job.result.accuracy,
                                   places=9, msg=method)
            # The dataset has validation images to calibrate with.
            calibrated = method != "zero_shot"
            self.assertEqual(job.result.HasField("temperature"), calibrated)
            reply = self.bench.classify(f"by-{method}", self.blobs[:1])
            self.assertEqual(reply.HasField("temperature"), calibrated)
            if calibrated:
                self.assertEqual(reply.temperature, job.result.temperature)
                self.assertNotEqual(job.result.ece,
                                    job.result.uncalibrated_ece)
        # Discs, squares and stripes are a linear probe's business.
        self.assertGreater(self.jobs["linear_probe"].result.accuracy, 0.8)
        self.assertGreater(
            self.jobs["linear_probe"].result.inverse_regularization, 0)

    def test_one_template_is_the_zero_shot_baseline(self):
        job = self.bench.train(task="one", dataset="shapes",
                               method="zero_shot",
                               text_templates=["a photo of a {}."],
                               templates=["a photo of a {}."])
        job, _ = self.bench.finish(job.id)
        self.assertEqual(job.result.accuracy, job.result.zero_shot_accuracy)
        native = self.bench.call("ClassifyService", "ZeroShotClassify",
                                 labels=images.CLASSES, images=self.blobs,
                                 top_k=3)
        learned = self.bench.classify("one", self.blobs, top_k=3)
        for a, b in zip(native.results, learned.results):
            for x, y in zip(a.scores, b.scores):
                self.assertEqual(x.class_index, y.class_index)
                self.assertAlmostEqual(x.probability, y.probability, places=5)

    def test_a_probe_survives_a_restart(self):
        before = {m: self.answers(m) for m in METHODS}
        self.server.kill()
        type(self).server = promptd_process.Promptd(self.folder)
        self.addClassCleanup(self.server.kill)
        type(self).bench = workbench.Bench(self.server.grpc)
        self.addClassCleanup(self.bench.close)
        self.assertEqual({m: self.answers(m) for m in METHODS}, before)

    def test_what_needs_a_context_is_refused(self):
        self.assert_refused(
            "FAILED_PRECONDITION", "NO_CONTEXT", self.bench.call,
            "PromptService", "InterpretVersion", task="by-linear_probe",
            version=1)
        failure = self.assert_refused(
            "INVALID_ARGUMENT", "INVALID_SPEC", self.bench.train,
            task="more", dataset="shapes", shots=2,
            initial_version=dict(task="by-text_bias", version=1))
        self.assertIn("text_bias", failure.message)
        failure = self.assert_refused(
            "INVALID_ARGUMENT", "INVALID_SPEC", self.bench.train,
            task="more", dataset="shapes", method="linear_probe",
            context_tokens=4, epochs=3)
        self.assertIn("spec.context_tokens", failure.message)
        self.assertIn("spec.epochs", failure.message)

    def test_promptctl_trains_shows_and_exports(self):
        def run(*command):
            done = promptd_process.promptctl(*command, server=self.server.grpc)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        out = run("train", "shapes", "--task", "ctl", "--method",
                  "linear_probe", "--shots", "2", "--wait")
        self.assertIn("C ", out)
        run("train", "shapes", "--task", "ctl", "--method", "zero_shot",
            "--template-set", "coop7", "--wait")
        self.assertIn("linear_probe", run("version", "list", "ctl"))
        shown = run("version", "show", "ctl:1")
        self.assertIn("chosen on validation images", shown)
        self.assertNotIn("tokens", shown)
        folder = self.folder / "out"
        run("version", "export", "ctl:1", "--out", str(folder))
        self.assertTrue((folder / "head.safetensors").exists())
        manifest = json.loads((folder / "manifest.json").read_text())
        self.assertEqual(manifest["spec"]["method"], "linear_probe")
        done = promptd_process.promptctl(
            "version", "export", "ctl:1", "--format", "npz", "--out",
            str(self.folder / "npz"), server=self.server.grpc)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("NO_CONTEXT", done.stderr)
        self.assertFalse((self.folder / "npz" / "manifest.json").exists())
