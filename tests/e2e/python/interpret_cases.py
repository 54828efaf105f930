"""Learned contexts read in words, held to the encoder's own file."""
import json
import os
import pathlib

import numpy

import images
import promptd_process
import workbench

WORDS = "a photo of a"


def tensor(data, name):
    """One tensor of a safetensors file, in float64."""
    header = int.from_bytes(data[:8], "little")
    record = json.loads(data[8:8 + header])[name]
    first, last = (8 + header + at for at in record["data_offsets"])
    kind = {"F32": "<f4", "F16": "<f2"}[record["dtype"]]
    return numpy.frombuffer(data[first:last], kind).reshape(
        record["shape"]).astype(numpy.float64)


class InterpretCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bench.push("shapes", images.CLASSES, images.tiny_dataset())

    def train(self, task, **spec):
        job = self.bench.train(task=task, dataset="shapes", shots=2,
                               batch_size=4, **spec)
        job, _ = self.bench.finish(job.id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)

    def interpret(self, task, **values):
        return self.bench.call("PromptService", "InterpretVersion", task=task,
                               **values)

    def promptctl(self, *arguments):
        return promptd_process.promptctl("version", "interpret", *arguments,
                                         server=self.server.grpc)

    def test_a_context_that_did_not_learn_still_says_its_words(self):
        self.train("still", context_init=WORDS, epochs=1, warmup_epochs=0,
                   learning_rate=1e-30)
        reply = self.interpret("still", top_k=2)
        self.assertEqual((reply.task, reply.version), ("still", 1))
        self.assertEqual([v.position for v in reply.vectors], [1, 2, 3, 4])
        self.assertEqual([v.words[0].token for v in reply.vectors],
                         [word + "</w>" for word in WORDS.split()])
        for vector in reply.vectors:
            self.assertEqual(vector.class_name, "")
            self.assertEqual(vector.words[0].distance, 0)
            self.assertGreater(vector.words[1].distance, 0)
        done = self.promptctl("still:1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("photo 0.0000, ", done.stdout)
        done = self.promptctl("still:1", "--class", images.CLASSES[0])
        self.assertEqual(done.returncode, 1)
        self.assertIn("CONTEXT_IS_SHARED", done.stderr)

    def test_contexts_of_classes_lie_where_their_numbers_say(self):
        self.train("own", context_tokens=3, class_specific=True, epochs=2)
        context = tensor(self.bench.export("own", 1).context, "ctx")
        weights = (pathlib.Path(os.environ["PROMPTD_MODELS"]) / "embedded" /
                   "open_clip_model.safetensors").read_bytes()
        table = tensor(weights, "token_embedding.weight")
        reply = self.interpret("own", top_k=5)
        self.assertEqual([(v.class_name, v.position) for v in reply.vectors],
                         [(name, position) for name in images.CLASSES
                          for position in (1, 2, 3)])
        rows = context.reshape(-1, table.shape[1])
        for vector, row in zip(reply.vectors, rows, strict=True):
            distances = numpy.sqrt(((table - row) ** 2).sum(axis=1))
            nearest = numpy.argsort(distances, kind="stable")[:5]
            self.assertEqual([w.token_id for w in vector.words],
                             nearest.tolist())
            numpy.testing.assert_allclose(
                [w.distance for w in vector.words], distances[nearest],
                rtol=1e-12)
            self.assertAlmostEqual(vector.norm, numpy.linalg.norm(row))
        one = images.CLASSES[1]
        done = self.promptctl("own@production", "--class", one, "--top-k", "5",
                              "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([v["words"] for v in json.loads(done.stdout)[
            "vectors"]], [[{"token": w.token, "token_id": w.token_id,
                            "distance": w.distance} for w in v.words]
                          for v in reply.vectors if v.class_name == one])

    def test_bad_requests_are_refused(self):
        self.train("few", context_tokens=2, class_specific=True, epochs=1)
        failure = self.assert_refused(
            "INVALID_ARGUMENT", "UNKNOWN_CLASS", self.interpret, "few",
            class_names=[images.CLASSES[0] + "s"])
        self.assertIn(images.CLASSES[0] + '"?', failure.message)
        self.assert_refused("INVALID_ARGUMENT", "BAD_TOP_K", self.interpret,
                            "few", top_k=101)
        self.assert_refused("NOT_FOUND", "VERSION_NOT_FOUND", self.interpret,
                            "few", version=9)
