"""What a client may send by mistake or on purpose, and what it gets."""
import tempfile

import images
import promptd_process
import workbench


class BadInputCase(workbench.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="promptd-bad-")
        cls.addClassCleanup(folder.cleanup)
        cls.server = promptd_process.Promptd(folder.name)
        cls.addClassCleanup(cls.server.kill)
        cls.bench = workbench.Bench(cls.server.grpc)
        cls.addClassCleanup(cls.bench.close)
        cls.items = images.tiny_dataset(train=4, test=2)
        cls.bench.push("shapes", images.CLASSES, cls.items)
        job = cls.bench.train(task="shapes", dataset="shapes", shots=1,
                              epochs=1, context_tokens=1)
        cls.job, _ = cls.bench.finish(job.id)
        assert cls.job.state == workbench.SUCCEEDED, cls.job

    def tearDown(self):
        self.assertTrue(self.server.alive(), self.server.tail())

    def test_hostile_images_fail_alone_in_classify(self):
        good = self.items[0][1]
        hostile = images.hostile_images()
        hostile["damaged PNG"] = (images.damaged_png(),
                                  {"IMAGE_UNDECODABLE"})
        for name, (data, reasons) in hostile.items():
            with self.subTest(name):
                reply = self.bench.classify("shapes", [good, data, good])
                self.assertIn(reply.results[1].error_reason, reasons)
                self.assertTrue(reply.results[1].error_message)
                self.assertEqual(len(reply.results[1].scores), 0)
                for i in (0, 2):
                    self.assertEqual(reply.results[i].error_reason, "")
                    self.assertTrue(reply.results[i].scores)

    def test_hostile_images_are_rejected_by_upload(self):
        for name, (data, reasons) in images.hostile_images().items():
            with self.subTest(name):
                items = self.items + [("train/red_disc/bad.png", data, 0,
                                       images.TRAIN)]
                push_id, missing = self.bench.announce("hostile",
                                                       images.CLASSES, items)
                self.assertEqual(missing, [images.digest(data)])
                reply = self.bench.upload(push_id, [data])
                self.assertEqual([r.digest for r in reply.rejected],
                                 [images.digest(data)])
                self.assertIn(reply.rejected[0].reason, reasons)
                self.assert_refused("FAILED_PRECONDITION", "IMAGES_MISSING",
                                    self.bench.call, "DatasetService",
                                    "CommitDataset", push_id=push_id)
                self.assert_refused("NOT_FOUND", "DATASET_NOT_FOUND",
                                    self.bench.call, "DatasetService",
                                    "GetDataset", name="hostile")

    def test_unknown_names(self):
        train = dict(task="shapes", dataset="shapes", shots=1)
        self.assert_refused("NOT_FOUND", "ENCODER_NOT_FOUND",
                            self.bench.train, **train, encoder="none")
        self.assert_refused("NOT_FOUND", "DATASET_NOT_FOUND",
                            self.bench.train,
                            **{**train, "dataset": "nothing"})
        self.assert_refused("NOT_FOUND", "TASK_NOT_FOUND",
                            self.bench.classify, "nothing",
                            [self.items[0][1]])
        self.assert_refused("NOT_FOUND", "VERSION_NOT_FOUND",
                            self.bench.classify, "shapes",
                            [self.items[0][1]], version=99)
        self.assert_refused("NOT_FOUND", "ALIAS_NOT_FOUND",
                            self.bench.classify, "shapes",
                            [self.items[0][1]], alias="none")
        self.assert_refused("NOT_FOUND", "JOB_NOT_FOUND", self.bench.call,
                            "TrainingService", "GetTrainingJob", id=999)
        self.assert_refused("NOT_FOUND", "JOB_NOT_FOUND", list,
                            self.bench.events(999))

    def test_aliases_point_only_at_what_exists(self):
        def set_alias(**values):
            return self.bench.call("PromptService", "SetAlias",
                                   task="shapes", **values)
        self.assert_refused("NOT_FOUND", "VERSION_NOT_FOUND", set_alias,
                            name="production", version=99)
        self.assert_refused("INVALID_ARGUMENT", "ALIAS_READ_ONLY", set_alias,
                            name="latest", version=1)
        moved = self.assert_refused("ABORTED", "ALIAS_MOVED", set_alias,
                                    name="production", version=1,
                                    expected_version=7)
        self.assertIn("1", moved.message)

    def test_more_shots_than_images_names_the_classes(self):
        failure = self.assert_refused("INVALID_ARGUMENT", "INVALID_SPEC",
                                      self.bench.train, task="shapes",
                                      dataset="shapes", shots=5)
        text = failure.fields["spec.shots"]
        for label in images.CLASSES:
            self.assertIn(label, text)
        self.assertIn("4", text)

    def test_all_violations_come_at_once(self):
        failure = self.assert_refused(
            "INVALID_ARGUMENT", "INVALID_SPEC", self.bench.train,
            task="Not A Name", dataset="shapes", shots=0, epochs=-1,
            learning_rate=float("nan"), templates=["no braces"])
        self.assertLessEqual({"spec.task", "spec.shots", "spec.epochs",
                              "spec.learning_rate", "spec.templates[0]"},
                             set(failure.fields))

    def test_a_class_name_beyond_the_context_is_refused(self):
        long_name = "a " * 90 + "disc"
        labels = [long_name] + images.CLASSES[1:]
        self.bench.push("long-names", labels, self.items)
        failure = self.assert_refused("INVALID_ARGUMENT", "INVALID_SPEC",
                                      self.bench.train, task="long",
                                      dataset="long-names", shots=1)
        self.assertTrue(any("77" in text for text in
                            failure.fields.values()), str(failure))

    def test_duplicate_class_names_are_refused(self):
        for labels in (["disc", "disc", "stripes"],
                       ["red disc", "Red_Disc", "stripes"]):
            with self.subTest(labels):
                failure = self.assert_refused(
                    "INVALID_ARGUMENT", "INVALID_MANIFEST",
                    self.bench.announce, "twins", labels, self.items)
                self.assertTrue(failure.fields)

    def test_paths_never_leave_their_root(self):
        for path in ("../../etc/passwd", "/etc/passwd", "a//b", "a/./b", ""):
            with self.subTest(path):
                items = [(path, self.items[0][1], 0, images.TRAIN)]
                self.assert_refused("INVALID_ARGUMENT", "INVALID_MANIFEST",
                                    self.bench.announce, "escape",
                                    images.CLASSES, items)

    def test_other_content_under_a_taken_name_is_refused(self):
        push_id, _ = self.bench.announce("shapes", images.CLASSES,
                                         self.items[:-1])
        self.assert_refused("ALREADY_EXISTS", "DATASET_EXISTS",
                            self.bench.call, "DatasetService",
                            "CommitDataset", push_id=push_id)

    def test_too_many_images_a_call_are_refused_with_the_limit(self):
        limits = self.bench.call("ServerService", "GetServerInfo").limits
        count = limits.max_images_per_call + 1
        with self.assertRaises(Exception) as caught:
            self.bench.classify("shapes", [b"x"] * count)
        self.assertIn(caught.exception.code.name,
                      ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"))
        self.assertIn(str(limits.max_images_per_call), str(caught.exception))

    def test_streams_that_break_off_leave_nothing_behind(self):
        before = self.bench.call("DatasetService", "ListDatasets")
        self.assert_any_refusal("DatasetService", "PushDataset", [])
        self.assertEqual(self.bench.upload("", []).stored_images, 0)
        data = images.tiny_dataset(seed=99)[0][1]
        push_id, _ = self.bench.announce("cut", ["disc", "square"],
                                         [("a/1.png", data, 0, 1)])
        for upload in (dict(push_id="no such push", chunk=b"x", last=True),
                       dict(push_id=push_id, chunk=data[:100]),
                       dict(push_id=push_id, chunk=b"x" * (2 << 20))):
            self.assert_any_refusal(
                "DatasetService", "UploadImages",
                [self.bench.new("UploadImagesRequest", **upload)])
        after = self.bench.call("DatasetService", "ListDatasets")
        self.assertEqual(before, after)

    def assert_any_refusal(self, service, method, requests):
        with self.assertRaises(Exception) as caught:
            list(self.bench.stream(service, method, iter(requests)))
        self.assertTrue(caught.exception.reason, str(caught.exception))
