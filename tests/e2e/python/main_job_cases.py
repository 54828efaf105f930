"""The main job over the wire, by a client built from reflection alone."""
import json
import pathlib
import shutil
import subprocess
import tempfile

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

import images
import promptd_process
import workbench

SERVICES = ["ClassifyService", "DatasetService", "EncoderService",
            "PromptService", "ServerService", "TrainingService"]


class MainJobCase(workbench.Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="promptd-e2e-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.server = promptd_process.Promptd(cls.folder.name)
        cls.addClassCleanup(cls.server.kill)
        cls.bench = workbench.Bench(cls.server.grpc)
        cls.addClassCleanup(cls.bench.close)
        cls.items = images.tiny_dataset()
        cls.dataset = cls.bench.push("shapes", images.CLASSES, cls.items)
        job = cls.bench.train(task="shapes", dataset="shapes", shots=4,
                              context_tokens=4, epochs=10, seed=1)
        cls.job, cls.events = cls.bench.finish(job.id)

    def test_reflection_lists_every_service(self):
        services = self.bench.services()
        for name in SERVICES:
            self.assertIn("promptd.v1." + name, services)
        self.assertIn("grpc.health.v1.Health", services)

    def test_health_is_serving(self):
        stub = health_pb2_grpc.HealthStub(self.bench.channel)
        reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        self.assertEqual(reply.status,
                         health_pb2.HealthCheckResponse.SERVING)
        with self.assertRaises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="none"),
                       timeout=10)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_dataset_keeps_order_and_counts(self):
        self.assertEqual(list(self.dataset.class_names), images.CLASSES)
        counts = {s.split: list(s.images_per_class)
                  for s in self.dataset.splits if s.images}
        self.assertEqual(counts, {images.TRAIN: [8, 8, 8],
                                  images.TEST: [4, 4, 4]})

    def test_a_second_push_misses_nothing_and_is_the_same_dataset(self):
        push_id, missing = self.bench.announce("shapes", images.CLASSES,
                                               self.items)
        self.assertEqual(missing, [])
        again = self.bench.call("DatasetService", "CommitDataset",
                                push_id=push_id)
        self.assertEqual(again.digest, self.dataset.digest)

    def test_the_job_succeeded_with_the_baseline_beside_it(self):
        self.assertEqual(self.job.state, workbench.SUCCEEDED,
                         self.job.error_message)
        self.assertEqual(self.job.version, 1)
        result = self.job.result
        self.assertEqual((result.split, result.images), ("test", 12))
        self.assertGreater(result.accuracy, 0.0)
        self.assertEqual(len(result.templates), 7)
        best = max(t.accuracy for t in result.templates)
        self.assertAlmostEqual(result.zero_shot_accuracy, best, places=9)
        self.assertEqual([c.class_name for c in result.classes],
                         images.CLASSES)

    def test_events_are_numbered_without_gaps_and_replayable(self):
        numbers = [e.sequence for e in self.events]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertEqual(self.events[-1].state, workbench.SUCCEEDED)
        again = list(self.bench.events(self.job.id, from_sequence=3))
        self.assertEqual([e.sequence for e in again], numbers[2:])

    def test_production_points_at_version_one(self):
        reply = self.bench.call("PromptService", "ListAliases", task="shapes")
        aliases = {a.name: a.version for a in reply.aliases}
        self.assertEqual(aliases["production"], 1)
        task = self.bench.call("PromptService", "GetTask", name="shapes")
        self.assertEqual((task.latest_version, task.production_version),
                         (1, 1))

    def test_classify_answers_in_order_by_alias_and_by_version(self):
        blobs = [data for _, data, _, split in self.items
                 if split == images.TEST]
        reply = self.bench.classify("shapes", blobs, top_k=3)
        self.assertEqual(len(reply.results), len(blobs))
        self.assertEqual(reply.version, 1)
        for result in reply.results:
            self.assertEqual(result.error_reason, "")
            self.assertEqual(len(result.scores), 3)
            total = sum(s.probability for s in result.scores)
            self.assertAlmostEqual(total, 1.0, places=4)
            probabilities = [s.probability for s in result.scores]
            self.assertEqual(probabilities, sorted(probabilities)[::-1])
        pinned = self.bench.classify("shapes", blobs, top_k=3, version=1)
        self.assertEqual([r.scores[0].class_name for r in pinned.results],
                         [r.scores[0].class_name for r in reply.results])

    def test_classify_agrees_with_the_jobs_own_evaluation(self):
        tests = [(data, index) for _, data, index, split in self.items
                 if split == images.TEST]
        reply = self.bench.classify("shapes", [d for d, _ in tests], top_k=1)
        right = sum(r.scores[0].class_index == index
                    for r, (_, index) in zip(reply.results, tests))
        self.assertAlmostEqual(right / len(tests), self.job.result.accuracy,
                               places=6)

    def test_zero_shot_needs_no_task(self):
        reply = self.bench.call("ClassifyService", "ZeroShotClassify",
                                labels=["a cat", "a dog"],
                                images=[self.items[0][1]])
        self.assertEqual(len(reply.results[0].scores), 2)
        self.assertEqual(reply.version, 0)

    def test_a_repeated_request_id_makes_one_job(self):
        spec = dict(task="twice", dataset="shapes", shots=1, epochs=1,
                    context_tokens=1)
        first = self.bench.train(request_id="same", **spec)
        second = self.bench.train(request_id="same", **spec)
        self.assertEqual(first.id, second.id)
        self.assert_refused("ALREADY_EXISTS", "REQUEST_ID_REUSED",
                            self.bench.train, request_id="same",
                            **{**spec, "seed": 2})
        self.bench.finish(first.id)

    def test_metrics_satisfy_promtool_and_tell_of_the_job(self):
        status, text = workbench.http_get(self.server.http, "/metrics")
        self.assertEqual(status, 200)
        promtool = shutil.which("promtool")
        self.assertIsNotNone(promtool, "install Debian's prometheus package")
        check = subprocess.run([promtool, "check", "metrics"], input=text,
                               capture_output=True, text=True, timeout=60)
        self.assertEqual((check.returncode, check.stdout + check.stderr),
                         (0, ""))
        for part in ('method="Classify"', 'method="CreateTrainingJob"',
                     'stage="encode"'):
            self.assertIn(part, text)

    def test_healthz(self):
        self.assertEqual(workbench.http_get(self.server.http, "/healthz")[0],
                         200)

    def test_a_second_promptd_on_the_same_data_is_refused(self):
        folder = pathlib.Path(self.folder.name) / "second"
        with self.assertRaises(RuntimeError) as caught:
            promptd_process.Promptd(folder, data_dir=self.server.data_dir)
        self.assertIn("DATA_DIR_IN_USE", str(caught.exception))
        self.assertTrue(self.server.alive())
        self.bench.call("ServerService", "GetServerInfo")

    def test_promptctl_does_the_same_job(self):
        folder = pathlib.Path(self.folder.name) / "cli"
        images.write_folder(folder, self.items)

        def run(*arguments, expect=0):
            done = promptd_process.promptctl(*arguments,
                                             server=self.server.grpc)
            self.assertEqual(done.returncode, expect, done.stderr)
            return done

        pushed = json.loads(run("dataset", "push", folder, "-o",
                                "json").stdout)
        self.assertEqual(pushed["name"], "cli")
        self.assertEqual(pushed["uploaded_images"], 0)
        job = json.loads(run("train", "cli", "--shots", "2", "--epochs", "2",
                             "-M", "2", "--wait", "-o", "json").stdout)
        self.assertEqual(job["state"], "succeeded")
        answer = json.loads(run("classify", folder / self.items[0][0], "-t",
                                "cli@production", "-o", "json").stdout)
        self.assertEqual(len(answer["results"][0]["scores"]), 3)
        out = folder / "export"
        run("version", "export", "cli:1", "--out", out)
        self.assertEqual((out / "context.safetensors").read_bytes(),
                         self.bench.export("cli", 1).context)
        self.assertIn("shapes:1", run("version", "list", "shapes").stdout)
        self.assertIn("ready", run("status").stdout.lower())
        missing = run("classify", folder / self.items[0][0], "-t", "nothing",
                      expect=3)
        self.assertIn("TASK_NOT_FOUND", missing.stderr)
