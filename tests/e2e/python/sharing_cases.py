"""Features that calls, tasks and streams of a real promptd share."""
import hashlib
import re

import numpy

import images
import workbench


class SharingCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        items = images.tiny_dataset()
        cls.bench.push("tiny", images.CLASSES, items)
        for seed, task in enumerate(("one", "two")):
            job = cls.bench.train(task=task, dataset="tiny", shots=1,
                                  context_tokens=4, epochs=1, seed=seed)
            cls.bench.finish(job.id)
        cls.blobs = [data for _, data, _, split in items
                     if split == images.TEST]

    def metric(self, series):
        _, page = workbench.http_get(self.server.http, "/metrics")
        found = re.search("^" + re.escape(series) + " (.*)$", page, re.M)
        self.assertIsNotNone(found, series)
        return float(found.group(1))

    def cache_states(self, results):
        names = self.bench.message("promptd.v1.ImageResult").DESCRIPTOR
        states = names.fields_by_name["cache"].enum_type.values_by_number
        return {states[r.cache].name[len("CACHE_STATE_"):] for r in results}

    def test_an_image_is_encoded_once_for_all_that_ask(self):
        blobs = self.blobs[:4]
        before = self.metric("promptd_images_encoded_total")
        first = self.bench.classify("one", blobs)
        self.assertEqual(self.cache_states(first.results), {"MISS"})
        again = self.bench.classify("one", blobs)
        self.assertEqual(self.cache_states(again.results), {"HIT"})
        for old, new in zip(first.results, again.results):
            self.assertEqual(list(old.scores), list(new.scores))
        reply = self.bench.call(
            "ClassifyService", "MultiClassify", images=blobs,
            tasks=[{"task": "one"}, {"task": "two"}, {"task": "three"}])
        self.assertEqual([task.error_reason for task in reply.tasks],
                         ["", "", "TASK_NOT_FOUND"])
        for old, new in zip(first.results, reply.tasks[0].results):
            self.assertEqual(list(old.scores), list(new.scores))
        embedded = self.bench.call("EncoderService", "EmbedImages",
                                   images=blobs)
        self.assertEqual(self.cache_states(embedded.embeddings), {"HIT"})
        self.assertEqual(self.metric("promptd_images_encoded_total"),
                         before + len(blobs))
        anew = self.bench.classify("one", blobs, no_cache=True)
        self.assertEqual(self.cache_states(anew.results), {"BYPASS"})
        self.assertGreaterEqual(self.metric("promptd_prompts_resident"), 2)

    def test_an_image_is_known_by_its_digest(self):
        rng = numpy.random.default_rng(99)
        blobs = [images.encode(images.picture(0, rng)) for _ in range(2)]
        digests = [hashlib.sha256(blob).digest() for blob in blobs]
        strange = hashlib.sha256(b"never sent").digest()
        unknown = self.bench.classify("one", [], image_digests=digests)
        self.assertEqual([r.error_reason for r in unknown.results],
                         ["IMAGE_NOT_CACHED"] * 2)
        sent = self.bench.classify("one", blobs)
        before = self.metric("promptd_images_encoded_total")
        named = self.bench.classify("one", blobs[:1],
                                    image_digests=[strange, *digests])
        self.assertEqual(named.results[1].error_reason, "IMAGE_NOT_CACHED")
        for old, new in zip([sent.results[0], *sent.results],
                            [named.results[0], *named.results[2:]]):
            self.assertEqual(self.cache_states([new]), {"HIT"})
            self.assertEqual(list(old.scores), list(new.scores))
        reply = self.bench.call(
            "ClassifyService", "MultiClassify", image_digests=digests,
            tasks=[{"task": "one"}, {"task": "two"}])
        for task in reply.tasks:
            self.assertEqual(self.cache_states(task.results), {"HIT"})
        request = self.bench.message("promptd.v1.ClassifyStreamRequest")
        items = [request(id=digest.hex(), classify={
            "task": "two", "image_digests": [digest]})
            for digest in [*digests, strange]]
        replies = {reply.id: reply.classify.results[0].error_reason
                   for reply in self.bench.stream(
                       "ClassifyService", "ClassifyStream", iter(items))}
        self.assertEqual(replies, {digests[0].hex(): "", digests[1].hex(): "",
                                   strange.hex(): "IMAGE_NOT_CACHED"})
        self.assertEqual(self.metric("promptd_images_encoded_total"), before)
        # Another tenant has sent nothing.
        other = self.bench.call(
            "ClassifyService", "ZeroShotClassify", tenant="other",
            labels=["a", "b"], image_digests=digests)
        self.assertEqual([r.error_reason for r in other.results],
                         ["IMAGE_NOT_CACHED"] * 2)

    def test_a_stream_answers_each_item(self):
        request = self.bench.message("promptd.v1.ClassifyStreamRequest")
        items = [request(id=str(i), classify={
            "task": "two" if i % 5 else "three",
            "images": [self.blobs[4 + i % 8]]}) for i in range(100)]
        replies = {reply.id: reply for reply in self.bench.stream(
            "ClassifyService", "ClassifyStream", iter(items))}
        self.assertEqual(len(replies), 100)
        for i in range(100):
            reply = replies[str(i)]
            if i % 5:
                self.assertEqual(len(reply.classify.results), 1, reply)
            else:
                self.assertEqual(reply.error_reason, "TASK_NOT_FOUND")
