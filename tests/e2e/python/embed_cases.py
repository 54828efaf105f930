"""Embeddings of a real promptd, held to its own classification."""
import json

import numpy

import images
import promptd_process
import workbench

LABELS = ["red disc", "green square", "blue stripes", "ice_cream"]
TEMPLATE = "a photo of a {}."


class EmbedCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.blobs = [data for _, data, _, split in images.tiny_dataset()
                     if split == images.TEST]

    def embed(self, method, **values):
        reply = self.bench.call("EncoderService", method, **values)
        for embedding in reply.embeddings:
            self.assertEqual(embedding.error_reason, "")
        rows = numpy.array([e.values for e in reply.embeddings])
        numpy.testing.assert_allclose(numpy.linalg.norm(rows, axis=1), 1,
                                      atol=1e-5)
        self.assertTrue(all(e.norm > 0 for e in reply.embeddings))
        self.assertTrue(reply.request_id)
        return rows, reply

    def test_their_cosines_are_the_zero_shot_classifier(self):
        encoder = self.bench.call("EncoderService", "ListEncoders").encoders[0]
        pictures, reply = self.embed("EmbedImages", images=self.blobs)
        texts, _ = self.embed(
            "EmbedTexts", encoder=encoder.name,
            texts=[TEMPLATE.format(label.replace("_", " "))
                   for label in LABELS])
        self.assertEqual(pictures.shape, (12, encoder.embed_dim))
        self.assertEqual(reply.encoder_digest, encoder.digest)
        cosines = pictures @ texts.T
        weights = numpy.exp(encoder.logit_scale *
                            (cosines - cosines.max(axis=1, keepdims=True)))
        expected = weights / weights.sum(axis=1, keepdims=True)
        answer = self.bench.call("ClassifyService", "ZeroShotClassify",
                                 images=self.blobs, labels=LABELS,
                                 template=TEMPLATE, top_k=len(LABELS))
        given = numpy.zeros_like(expected)
        for row, result in enumerate(answer.results):
            for score in result.scores:
                given[row, score.class_index] = score.probability
                self.assertAlmostEqual(score.similarity,
                                       cosines[row, score.class_index],
                                       places=4)
        numpy.testing.assert_allclose(given, expected, atol=1e-4)
        # Not the same answer for every picture.
        self.assertGreater(numpy.abs(given - given[0]).max(), 0.01)

    def test_bad_items_fail_alone(self):
        for name, (data, reasons) in images.hostile_images().items():
            with self.subTest(name):
                reply = self.bench.call("EncoderService", "EmbedImages",
                                        images=[data, self.blobs[0]])
                self.assertIn(reply.embeddings[0].error_reason, reasons)
                self.assertTrue(reply.embeddings[1].values)
        texts = ["dog " * 100, "dog"]
        reply = self.bench.call("EncoderService", "EmbedTexts", texts=texts)
        self.assertEqual([e.error_reason for e in reply.embeddings],
                         ["TEXT_TOO_LONG", ""])
        self.embed("EmbedTexts", texts=texts, truncate=True)

    def test_requests_that_ask_for_nothing_or_too_much_are_refused(self):
        limits = self.bench.call("ServerService", "GetServerInfo").limits
        for method, field, most in (
                ("EmbedImages", "images", limits.max_images_per_call),
                ("EmbedTexts", "texts", limits.max_texts_per_call)):
            for values in ([], [b"x" if field == "images" else "x"] *
                           (most + 1)):
                failure = self.assert_refused(
                    "INVALID_ARGUMENT", "INVALID_EMBED_REQUEST",
                    self.bench.call, "EncoderService", method,
                    **{field: values})
                self.assertIn(field, failure.fields)
        self.assert_refused("NOT_FOUND", "ENCODER_NOT_FOUND", self.bench.call,
                            "EncoderService", "EmbedTexts", texts=["a"],
                            encoder="huge")

    def test_promptctl_prints_what_the_server_answers(self):
        picture = self.folder / "picture.png"
        picture.write_bytes(self.blobs[0])
        done = promptd_process.promptctl("-o", "json", "embed", "image",
                                         picture, server=self.server.grpc)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows, _ = self.embed("EmbedImages", images=self.blobs[:1])
        numpy.testing.assert_allclose(
            json.loads(done.stdout)["embeddings"][0]["values"], rows[0],
            atol=1e-5)
        # More lines than one call takes.
        lines = self.folder / "lines.txt"
        lines.write_text("".join(f"number {i}\n" for i in range(600)))
        out = self.folder / "lines.safetensors"
        done = promptd_process.promptctl("embed", "text", "--file", lines,
                                         "--out", out,
                                         server=self.server.grpc)
        self.assertEqual(done.returncode, 0, done.stderr)
        bytes_ = out.read_bytes()
        header = int.from_bytes(bytes_[:8], "little")
        record = json.loads(bytes_[8:8 + header])["features"]
        features = numpy.frombuffer(bytes_[8 + header:], "<f4").reshape(
            record["shape"])
        one, _ = self.embed("EmbedTexts", texts=["number 599"])
        numpy.testing.assert_allclose(features[599], one[0], atol=1e-5)
