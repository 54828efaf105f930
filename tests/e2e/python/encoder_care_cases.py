"""An encoder over the years: verified, damaged, removed."""
import hashlib
import json

import numpy

import encoder_cases
import images
import promptd_process
import workbench

WEIGHTS = "open_clip_model.safetensors"
SELF_TEST = "self_test.safetensors"


def flip_last_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def falsify(path):
    """Other vectors under a checksum that fits them."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8:begin])["__metadata__"]
    vectors = numpy.frombuffer(data[begin:], "<f4") * numpy.float32(1.01)
    named = "".join(metadata[key] + "\n"
                    for key in ("format", "encoder_digest", "origin"))
    checksum = hashlib.sha256(named.encode() + vectors.tobytes()).hexdigest()
    header = data[:begin].replace(metadata["checksum"].encode(),
                                  checksum.encode())
    path.write_bytes(header + vectors.tobytes())


class EncoderCareCase(encoder_cases.ImportCase):
    def setUp(self):
        for name in ("vit", "rn"):
            if not (self.encoders / name).exists():
                done = self.import_encoder(f"{name}/openai.pt", name)
                self.assertEqual(done.returncode, 0, done.stderr)
        self.self_test = self.encoders / "vit" / SELF_TEST

    def start(self):
        server = promptd_process.Promptd(self.folder)
        self.addCleanup(server.kill)
        return server

    def verify(self, server, name):
        """(exit status, reply, messages)."""
        done = promptd_process.promptctl("-o", "json", "encoder", "verify",
                                         name, server=server.grpc)
        return done.returncode, json.loads(done.stdout), done.stderr

    def remove(self, server, name, *extra):
        return promptd_process.promptctl(
            "encoder", "remove", name, "--data-dir", self.folder / "data",
            *extra, server=server.grpc)

    def test_the_embedded_encoder_equals_open_clip(self):
        status, reply, _ = self.verify(self.start(), "embedded")
        self.assertEqual(status, 0)
        self.assertTrue(reply["passed"])
        self.assertTrue(reply["origin"].startswith("open_clip "))
        self.assertEqual([c["subject"] for c in reply["checks"]],
                         ["image features", "text features"])

    def test_a_changed_file_is_found_while_promptd_runs(self):
        self.self_test.unlink(missing_ok=True)
        server = self.start()
        self.assertTrue(self.self_test.exists())
        status, reply, _ = self.verify(server, "vit")
        self.assertEqual(status, 0)
        self.assertIn("first load", reply["origin"])
        self.assertEqual(reply["digest_on_disk"], reply["encoder"]["digest"])

        weights = self.encoders / "vit" / WEIGHTS
        flip_last_bit(weights)
        status, reply, messages = self.verify(server, "vit")
        self.assertEqual(status, 1)
        self.assertFalse(reply["files_unchanged"])
        self.assertTrue(all(c["passed"] for c in reply["checks"]))
        self.assertIn("its files changed", messages)
        self.assertEqual(self.verify(server, "rn")[0], 0)
        # A start would load another encoder than the self-test belongs to.
        server.stop()
        with self.assertRaisesRegex(RuntimeError, "SELF_TEST_MISMATCH"):
            self.start()
        flip_last_bit(weights)
        self.assertEqual(self.verify(self.start(), "vit")[0], 0)

    def test_a_self_test_that_does_not_fit_stops_the_start(self):
        self.start().stop()
        kept = self.self_test.read_bytes()
        flip_last_bit(self.self_test)
        with self.assertRaisesRegex(RuntimeError, "SELF_TEST_MALFORMED"):
            self.start()
        self.self_test.write_bytes(kept)
        falsify(self.self_test)
        with self.assertRaisesRegex(
                RuntimeError, "(?s)encoder vit .*text features.*"
                "ENCODER_SELF_TEST_FAILED"):
            self.start()
        # What the message says to do.
        self.self_test.unlink()
        self.assertEqual(self.verify(self.start(), "vit")[0], 0)

    def test_remove_asks_for_tasks_and_leaves_nothing(self):
        server = self.start()
        bench = workbench.Bench(server.grpc)
        self.addCleanup(bench.close)
        # Its context of 16 tokens holds short names only.
        bench.push("shapes", ["a", "b", "c"], images.tiny_dataset())
        job = bench.train(task="shapes", dataset="shapes", encoder="vit",
                          shots=4, context_tokens=2, epochs=1, seed=1,
                          templates=["{}"])
        job, _ = bench.finish(job.id)
        self.assertEqual(job.state, workbench.SUCCEEDED, job)
        refused = self.remove(server, "vit")
        self.assertEqual(refused.returncode, 1, refused.stdout)
        self.assertIn("ENCODER_IN_USE", refused.stderr)
        self.assertIn("shapes", refused.stderr)
        self.assertTrue(self.self_test.exists())

        self.assertEqual(self.remove(server, "none").returncode, 3)
        self.assertEqual(self.remove(server, "embedded").returncode, 1)
        done = self.remove(server, "rn")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.remove(server, "vit", "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(list(self.encoders.iterdir()), [])

        # Kept in memory until the end, and then gone.
        status, reply, messages = self.verify(server, "vit")
        self.assertEqual((status, reply["digest_on_disk"]), (1, ""))
        self.assertIn("cannot be read", messages)
        server.stop()
        again = workbench.Bench(self.start().grpc)
        self.addCleanup(again.close)
        held = again.call("EncoderService", "ListEncoders").encoders
        self.assertEqual([e.name for e in held], ["embedded"])
