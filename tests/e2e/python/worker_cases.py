"""A front end that computes nothing, and workers that come, die and wake."""
import contextlib
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error

import images
import job_histories
import promptd_process
import reflected_client
import workbench

# promptd's default is 15 s; a short lease keeps the tests short.
LEASE_SECONDS = 3
EPOCHS = 800


class WorkerCase(workbench.Case):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="promptd-workers-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.token = promptd_process.token_file(self.folder)
        self.items = images.tiny_dataset()
        self.server = self.start_server()
        self.workers = {}

    def start_server(self, worker_listen="127.0.0.1:0", lease=LEASE_SECONDS,
                     more=()):
        server = promptd_process.front_end(
            self.folder / "front", self.token, lease, *more,
            listen=worker_listen)
        self.addCleanup(server.kill)
        self.bench = workbench.Bench(server.grpc)
        self.addCleanup(self.bench.close)
        return server

    def add_worker(self, name, *more):
        worker = promptd_process.Worker(
            self.folder / name, self.server.workers, self.token, "--id", name,
            "--threads", "1", "--checkpoint-interval", "300ms", *more)
        self.addCleanup(worker.kill)
        self.workers[name] = worker
        workbench.wait_for(lambda: name in self.bench.ready_workers(), 30,
                           f"{name} to serve")
        return worker

    def submit(self, epochs=EPOCHS):
        self.bench.push("shapes", images.CLASSES, self.items)
        return self.bench.train(task="shapes", dataset="shapes", shots=8,
                                context_tokens=4, epochs=epochs, batch_size=8,
                                seed=3).id

    def training_on(self, job_id):
        """The worker that trains the job, once it is some epochs in."""
        owner = None
        for event in self.bench.events(job_id):
            owner = (job_histories.owners([event]) or [owner])[0]
            if event.progress.phase == "train" and event.progress.epoch >= 20:
                self.assertLess(event.progress.epoch, EPOCHS / 2)
                return owner
        self.fail("the job ended before it could be disturbed")

    def versions(self):
        return self.bench.call("PromptService", "ListVersions",
                               task="shapes").versions

    def classify(self, number=0):
        return self.bench.call(
            "ClassifyService", "ZeroShotClassify", labels=images.CLASSES,
            images=[self.items[number % len(self.items)][1]])

    @contextlib.contextmanager
    def load(self):
        """Classification, call after call; none may fail."""
        stop, failures, calls = threading.Event(), [], [0]

        def keep_classifying():
            while not stop.is_set():
                calls[0] += 1
                try:
                    self.classify(calls[0])
                except reflected_client.RpcFailure as failure:
                    failures.append(str(failure))

        thread = threading.Thread(target=keep_classifying)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(calls[0], 10)

    def test_workers_restart_in_turn_and_no_call_fails(self):
        for name in ("w1", "w2"):
            self.add_worker(name)
        with self.load():
            for name in ("w1", "w2", "w1", "w2"):
                worker = self.workers[name]
                self.assertEqual(worker.stop(), 0, worker.tail())
                self.add_worker(name)

    def test_a_worker_shows_what_it_computes(self):
        worker = self.add_worker("w1", "--http", "127.0.0.1:0")
        self.classify()
        status, page = workbench.http_get(worker.addresses["http"], "/metrics")
        self.assertEqual(status, 200)
        for line in ("promptd_images_encoded_total 1", "promptd_ready 1"):
            self.assertIn(f"\n{line}\n", page)
        self.assertIn("process_resident_memory_bytes", page)
        workbench.http_get(worker.addresses["http"], "/healthz")
        self.server.kill()
        def unhealthy():
            try:
                workbench.http_get(worker.addresses["http"], "/healthz")
            except urllib.error.HTTPError as error:
                return error.code == 503
            return False
        workbench.wait_for(unhealthy, 10, "a lonely worker to say so")

    def test_a_killed_worker_costs_neither_the_job_nor_a_call(self):
        self.add_worker("w1")
        self.add_worker("w2")
        job_id = self.submit()
        victim = self.training_on(job_id)
        other = ({"w1", "w2"} - {victim}).pop()

        with self.load():
            time.sleep(0.5)
            killed = time.monotonic()
            self.workers[victim].kill()
            for event in self.bench.events(job_id):
                if event.message == f"running on {other}":
                    break
            resumed = time.monotonic() - killed
            time.sleep(0.5)
        # At once, not when the lease has run out.
        self.assertLess(resumed, LEASE_SECONDS)
        self.assertEqual(self.bench.ready_workers(), {other})
        job, events = self.bench.finish(job_id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        self.assertEqual(job_histories.owners(events), [victim, other])
        lost = next(i for i, e in enumerate(events)
                    if "worker was lost" in e.message)
        before = max(e.progress.epoch for e in events[:lost])
        after = min(e.progress.epoch for e in events[lost:]
                    if e.progress.phase == "train")
        self.assertGreater(after, 0, "it began again instead of resuming")
        self.assertGreater(before, 0)
        self.assertEqual(len(self.versions()), 1)
        reply = self.bench.classify("shapes", [self.items[0][1]])
        self.assertEqual(len(reply.results), 1)

    def test_a_worker_that_wakes_up_late_publishes_nothing(self):
        self.add_worker("w1")
        self.add_worker("w2")
        job_id = self.submit()
        zombie = self.training_on(job_id)
        other = ({"w1", "w2"} - {zombie}).pop()
        self.workers[zombie].signal(signal.SIGSTOP)
        for event in self.bench.events(job_id):
            if event.message == f"running on {other}":
                break
        self.workers[zombie].signal(signal.SIGCONT)
        job, events = self.bench.finish(job_id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        self.assertEqual(job_histories.owners(events), [zombie, other])
        self.assertEqual([v.version for v in self.versions()], [1])
        workbench.wait_for(lambda: zombie in self.bench.ready_workers(), 30,
                           "the zombie to serve again")
        self.assertTrue(self.workers[zombie].alive())

    def test_a_stopped_worker_gives_its_job_back(self):
        self.add_worker("w1")
        job_id = self.submit()
        self.training_on(job_id)
        self.assertEqual(self.workers["w1"].stop(), 0,
                         self.workers["w1"].tail())
        job = self.bench.call("TrainingService", "GetTrainingJob", id=job_id)
        self.assertIn("no worker holds its encoder", job.waiting_for)
        shown = promptd_process.promptctl("job", "show", job_id,
                                          server=self.server.grpc)
        self.assertIn("no worker holds its encoder", shown.stdout)
        self.add_worker("w2")
        job, events = self.bench.finish(job_id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        self.assertEqual(job.attempt, 1)
        self.assertTrue(any("given back" in e.message for e in events))

    def test_a_restarted_front_end_finds_its_worker_at_work(self):
        self.bench.close()
        self.server.stop()
        self.server = self.start_server(lease=15)
        self.add_worker("w1")
        job_id = self.submit()
        self.training_on(job_id)
        port = self.server.workers
        self.bench.close()
        self.server.kill()
        self.server = self.start_server(port, lease=15)
        job, events = self.bench.finish(job_id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        self.assertEqual(job_histories.owners(events), ["w1"])

    def make_certificates(self):
        """openssl's, for 127.0.0.1; the flags without their prefix."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder,
                           check=True, capture_output=True)
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout"]
        openssl("req", "-x509", *new, "ca.key", "-subj", "/CN=ca", "-out",
                "ca.pem")
        openssl("req", *new, "own.key", "-subj", "/CN=own", "-out", "own.csr")
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey",
                "ca.key", "-CAcreateserial", "-extfile", "names", "-out",
                "own.pem")
        return {"ca": self.folder / "ca.pem", "cert": self.folder / "own.pem",
                "key": self.folder / "own.key"}

    def test_workers_come_by_mutual_tls_and_not_without(self):
        files = self.make_certificates()
        self.bench.close()
        self.server.stop()
        self.server = self.start_server(more=[
            part for name, path in files.items()
            for part in (f"--worker-tls-{name}", str(path))])
        self.add_worker("w1", *[part for name, path in files.items()
                                for part in (f"--tls-{name}", str(path))])
        self.assertEqual(len(self.classify().results), 1)
        job, _ = self.bench.finish(self.submit(epochs=20))
        self.assertEqual(job.state, workbench.SUCCEEDED, job.error_message)
        stranger = promptd_process.Worker(
            self.folder / "stranger", self.server.workers, self.token, "--id",
            "stranger", "--threads", "1")
        self.addCleanup(stranger.kill)
        time.sleep(1)
        self.assertEqual(self.bench.ready_workers(), {"w1"})

    def test_a_wrong_token_is_refused(self):
        wrong = self.folder / "wrong"
        wrong.touch(mode=0o600)
        wrong.write_text("another-text-of-more-than-24-characters\n")
        refused = subprocess.run(
            [promptd_process.program("PROMPTD_WORKER_BIN"), "--frontend",
             self.server.workers, "--token-file", str(wrong), "--listen",
             "127.0.0.1:0", "--data-dir", str(self.folder / "stranger")],
            capture_output=True, text=True, timeout=60,
            env=promptd_process.environment())
        self.assertEqual(refused.returncode, 1, refused.stderr)
        self.assertIn("WORKER_UNAUTHENTICATED", refused.stderr)
        self.assertNotIn(wrong.read_text().strip(), refused.stderr)
        self.assertEqual(self.bench.ready_workers(), set())
        self.assertNotIn(promptd_process.TOKEN, self.server.log.read_text())
        with self.assertRaises(reflected_client.RpcFailure) as caught:
            self.classify()
        self.assertIn(caught.exception.reason,
                      ("NO_WORKER", "ENCODER_NOT_FOUND"))
