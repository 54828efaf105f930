"""Features that calls, tasks and streams of a real promptd share."""
import re

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
