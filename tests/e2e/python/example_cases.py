"""The examples in other languages, as their README says to run them."""
import os
import pathlib
import re
import subprocess
import sys

import images
import workbench

EXAMPLES = (pathlib.Path(os.environ["PROMPTD_SOURCE_DIR"]) / "client" /
            "examples")


class ExampleCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images = cls.folder / "shapes"
        images.write_folder(cls.images, images.tiny_dataset())

    def run_example(self, command, task, *more):
        return subprocess.run(
            [*command, "--server", self.server.grpc, "--task", task,
             "--folder", str(self.images), "--shots", "2", "--epochs", "4",
             "--image", str(self.images / "test/red_disc/0.png"), *more],
            capture_output=True, text=True, timeout=300)

    def check(self, command, task):
        broken = self.folder / "broken.png"
        broken.write_bytes(b"no image")
        done = self.run_example(command, task, "--image", str(broken))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, rf"pushed {task}: 36 images")
        self.assertIn("job ", done.stdout)
        self.assertRegex(done.stdout, r"version 1: [\d.]+ % of the test")
        # What it says of the image is what promptd answers.
        reply = self.bench.classify(
            task, [(self.images / "test/red_disc/0.png").read_bytes()])
        best = reply.results[0].scores[0]
        told = re.search(r"0\.png: (.+) ([\d.]+) %", done.stdout)
        self.assertEqual(told[1], best.class_name)
        self.assertAlmostEqual(float(told[2]), 100 * best.probability,
                               delta=0.06)
        self.assertIn("broken.png: ", done.stdout)
        self.assertNotIn("undefined", done.stdout)
        # A refusal is one line and an exit status.
        done = self.run_example(command, "No Task")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_python(self):
        self.check([sys.executable,
                    str(EXAMPLES / "python/train_and_classify.py")], "snake")

    def test_node(self):
        self.check(["node", str(EXAMPLES / "node/train_and_classify.js")],
                   "node")
