"""A user's own CLIP checkpoint: imported, loaded, asked."""
import json
import os
import pathlib
import subprocess
import tempfile

import images
import promptd_process
import workbench

# The small checkpoints keep the first 30 of CLIP's merges.
MERGES = 30
SOURCE = pathlib.Path(os.environ.get("PROMPTD_SOURCE_DIR", "."))
CHECKPOINTS = SOURCE / "tests/golden/weights"


class ImportCase(workbench.Case):
    """A data folder for encoders made of the small checkpoints."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="promptd-e2e-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        bundled = pathlib.Path(os.environ["PROMPTD_MODELS"]).resolve()
        models = cls.folder / "models"
        (models / "clip").mkdir(parents=True)
        for name in ("embedded", "tasks"):
            (models / name).symlink_to(bundled / name)
        merges = (bundled / "clip/merges.txt").read_text(encoding="utf-8")
        (models / "clip/merges.txt").write_text(
            "\n".join(merges.split("\n")[:1 + MERGES]) + "\n",
            encoding="utf-8")
        cls.environment = {**promptd_process.environment(),
                           "PROMPTD_MODELS": str(models)}
        cls.encoders = cls.folder / "data/encoders"

    def import_encoder(self, source, name, *extra):
        return subprocess.run(
            [promptd_process.program("PROMPTCTL_BIN"), "--output", "json",
             "encoder", "import", str(CHECKPOINTS / source), "--name", name,
             "--data-dir", str(self.folder / "data"), *extra],
            env=self.environment, capture_output=True, text=True, timeout=60)


class EncoderCase(ImportCase):
    def test_an_imported_encoder_is_loaded_and_answers(self):
        digests = {}
        for source in ("vit/openai.pt", "vit/hf", "rn/openai.pt"):
            name = source.replace("/", "-").replace(".pt", "")
            done = self.import_encoder(source, name)
            self.assertEqual(done.returncode, 0, done.stderr)
            digests[name] = json.loads(done.stdout)["digest"]
        # The same weights from two kinds of file are the same encoder.
        self.assertEqual(digests["vit-hf"], digests["vit-openai"])
        again = self.import_encoder("vit/openai.pt", "vit-openai")
        self.assertNotEqual(again.returncode, 0)
        self.assertIn("vit-openai", again.stderr)

        # Two names for one encoder would be ambiguous: keep one.
        for file in (self.encoders / "vit-hf").iterdir():
            file.unlink()
        (self.encoders / "vit-hf").rmdir()
        server = promptd_process.Promptd(self.folder)
        self.addCleanup(server.kill)
        bench = workbench.Bench(server.grpc)
        self.addCleanup(bench.close)
        held = {e.name: e for e in
                bench.call("EncoderService", "ListEncoders").encoders}
        self.assertEqual(set(held), {"embedded", "vit-openai", "rn-openai"})
        for name in ("vit-openai", "rn-openai"):
            self.assertEqual(held[name].digest, digests[name])
            # Their context is 16 tokens.
            reply = bench.call("ClassifyService", "ZeroShotClassify",
                               labels=["a", "b", "c"], template="{}",
                               encoder=name,
                               images=[images.tiny_dataset()[0][1]])
            scores = [s.probability for s in reply.results[0].scores]
            self.assertEqual(len(scores), 3)
            self.assertAlmostEqual(sum(scores), 1, places=5)

    def test_a_hostile_file_is_refused_and_leaves_nothing(self):
        for path in sorted((CHECKPOINTS / "evil").iterdir()):
            done = self.import_encoder(f"evil/{path.name}", "evil",
                                       "--activation", "gelu")
            self.assertNotEqual(done.returncode, 0, path.name)
            self.assertIn(path.name, done.stderr)
            self.assertFalse((self.encoders / "evil").exists())
