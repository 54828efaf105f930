"""What the cases share: a client with promptd's flows on top."""
import pathlib
import tempfile
import time
import unittest
import urllib.request

import images
import promptd_process
import reflected_client

SUCCEEDED, FAILED, CANCELLED = 4, 5, 6  # promptd.v1.JobState
CHUNK = 1 << 20


class Bench(reflected_client.Client):
    """Pushes datasets, trains and follows jobs."""

    def announce(self, name, class_names, items):
        """The manifest; (push id, missing digests)."""
        def requests():
            new = lambda **v: self.new("PushDatasetRequest", **v)
            yield new(header=dict(name=name, class_names=class_names,
                                  item_count=len(items)))
            for path, data, index, split in items:
                yield new(item=dict(path=path, digest=images.digest(data),
                                    class_index=index, split=split))
        missing, push_id = [], None
        for reply in self.stream("DatasetService", "PushDataset", requests()):
            if reply.WhichOneof("kind") == "missing_digest":
                missing.append(reply.missing_digest)
            else:
                push_id = reply.result.push_id
        return push_id, missing

    def upload(self, push_id, blobs):
        def requests():
            for data in blobs:
                for at in range(0, max(1, len(data)), CHUNK):
                    yield self.new("UploadImagesRequest", push_id=push_id,
                                   chunk=data[at:at + CHUNK],
                                   last=at + CHUNK >= len(data))
        return next(self.stream("DatasetService", "UploadImages", requests()))

    def push(self, name, class_names, items):
        push_id, missing = self.announce(name, class_names, items)
        by_digest = {images.digest(data): data for _, data, _, _ in items}
        reply = self.upload(push_id, [by_digest[d] for d in missing])
        if reply.rejected:
            raise AssertionError(f"rejected: {reply.rejected}")
        return self.call("DatasetService", "CommitDataset", push_id=push_id)

    def train(self, request_id="", **spec):
        return self.call("TrainingService", "CreateTrainingJob", spec=spec,
                         request_id=request_id, fresh=True)

    def events(self, job_id, from_sequence=1):
        request = self.new("WatchTrainingJobRequest", id=job_id,
                           from_sequence=from_sequence)
        return self.stream("TrainingService", "WatchTrainingJob", request)

    def pages(self, service, method, field, **values):
        """The entries of all pages of a list."""
        token = ""
        while True:
            reply = self.call(service, method, page_size=1000,
                              page_token=token, **values)
            yield from getattr(reply, field)
            token = reply.next_page_token
            if not token:
                return

    def ready_workers(self):
        """The ids of those that serve."""
        info = self.call("ServerService", "GetServerInfo")
        return {w.id for w in info.workers if w.ready}

    def finish(self, job_id, from_sequence=1):
        """Follows the job to its end; (job, events)."""
        seen = list(self.events(job_id, from_sequence))
        return self.call("TrainingService", "GetTrainingJob", id=job_id), seen

    def export(self, task, version):
        return self.call("PromptService", "ExportVersion", task=task,
                         version=version)

    def classify(self, task, blobs, **more):
        return self.call("ClassifyService", "Classify", task=task,
                         images=blobs, **more)


def http_get(address, path):
    with urllib.request.urlopen(f"http://{address}{path}",
                                timeout=30) as reply:
        return reply.status, reply.read().decode()


class Case(unittest.TestCase):
    """Assertions about promptd's refusals."""

    def assert_refused(self, code, reason, function, *arguments, **values):
        """The RpcFailure that the call ends with."""
        with self.assertRaises(reflected_client.RpcFailure) as caught:
            function(*arguments, **values)
        failure = caught.exception
        self.assertEqual(failure.code.name, code, str(failure))
        self.assertEqual(failure.reason, reason, str(failure))
        self.assertEqual(failure.domain, "promptd")
        self.assertTrue(failure.request_id, "the refusal names no request")
        self.assertTrue(failure.message, "the refusal has no sentence")
        return failure


class ServerCase(Case):
    """A promptd of its own for the cases of a class: `folder`, `server` and
    a `bench` on it."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="promptd-e2e-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.server = promptd_process.Promptd(folder.name)
        cls.addClassCleanup(cls.server.kill)
        cls.bench = Bench(cls.server.grpc)
        cls.addClassCleanup(cls.bench.close)


def wait_for(condition, seconds, what):
    """Polls a condition that has no event of its own."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
