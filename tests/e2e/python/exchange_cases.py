"""Contexts to other programs and back: torch, numpy, CoOp's checkpoints."""
import collections
import json
import pathlib

import numpy
import torch

import images
import promptd_process
import workbench


def coop_checkpoint(context, path, epoch=50):
    """What Dassl's save_checkpoint writes, with the embeddings of its own
    class names beside the context."""
    parameter = torch.nn.Parameter(context.clone())
    optimizer = torch.optim.SGD([parameter], lr=0.002, momentum=0.9)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epoch)
    state = collections.OrderedDict(
        ctx=context, token_prefix=torch.ones(7, 1, context.shape[-1]),
        token_suffix=torch.ones(7, 60, context.shape[-1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "epoch": epoch,
                "optimizer": optimizer.state_dict(),
                "scheduler": {"successor": schedule, "last_epoch": epoch},
                "val_result": None}, path)


class ExchangeCase(workbench.ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.items = images.tiny_dataset()
        cls.bench.push("shapes", images.CLASSES, cls.items)
        for task, own in (("shared", False), ("own", True)):
            job = cls.bench.train(task=task, dataset="shapes", shots=4,
                                  context_tokens=4, epochs=3, seed=1,
                                  class_specific=own, class_position=2)
            job, _ = cls.bench.finish(job.id)
            assert job.state == workbench.SUCCEEDED, job.error_message

    def run_cli(self, *arguments, expect=0):
        done = promptd_process.promptctl(*arguments, server=self.server.grpc)
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def export(self, version, form):
        out = self.folder / f"{version.replace(':', '-')}-{form}"
        done = self.run_cli("version", "export", version, "--out", out,
                            "--format", form, "--force", "-o", "json")
        return pathlib.Path(json.loads(done.stdout)["context"])

    def scores(self, task):
        blobs = [data for _, data, _, split in self.items
                 if split == images.TEST]
        reply = self.bench.classify(task, blobs, top_k=3)
        return [[(s.class_name, s.probability) for s in result.scores]
                for result in reply.results]

    def test_a_coop_checkpoint_goes_to_torch_and_comes_back(self):
        for task in ("shared", "own"):
            path = self.export(f"{task}:1", "coop")
            self.assertEqual(path.name, "model.pth.tar-3")
            self.assertEqual(path.parent.name, "prompt_learner")
            loaded = torch.load(path, weights_only=True)
            self.assertEqual(loaded["epoch"], 3)
            self.assertEqual(list(loaded["state_dict"]), ["ctx"])
            for absent in ("optimizer", "scheduler", "val_result"):
                self.assertIsNone(loaded[absent])
            # As CoOp's load_model: into a learner that has more than that.
            learner = torch.nn.Module()
            learner.ctx = torch.nn.Parameter(
                torch.zeros_like(loaded["state_dict"]["ctx"]))
            learner.register_buffer("token_prefix", torch.ones(1))
            learner.load_state_dict(loaded["state_dict"], strict=False)
            mapped = torch.load(path, weights_only=True, mmap=True)
            self.assertTrue(torch.equal(mapped["state_dict"]["ctx"],
                                        learner.ctx))
            self.run_cli("version", "import", path, "--task", f"{task}-again",
                         "--dataset", "shapes", "--class-position", "middle")
            self.assertEqual(self.scores(f"{task}-again"), self.scores(task))
            again = self.export(f"{task}-again:1", "safetensors")
            first = self.export(f"{task}:1", "safetensors")
            self.assertEqual(again.read_bytes(), first.read_bytes())

    def test_what_coop_itself_writes_is_imported(self):
        path = self.export("shared:1", "coop")
        context = torch.load(path, weights_only=True)["state_dict"]["ctx"]
        folder = self.folder / "output"
        for epoch in (50, 200):
            coop_checkpoint(context, folder / "prompt_learner" /
                            f"model.pth.tar-{epoch}", epoch)
        failed = self.run_cli("version", "import", folder, "--task", "dassl",
                              "--dataset", "shapes", expect=1)
        self.assertIn("SEVERAL_CONTEXTS", failed.stderr)
        self.assertIn("model.pth.tar-200", failed.stderr)
        self.run_cli("version", "import", folder, "--epoch", "50", "--task",
                     "dassl", "--dataset", "shapes", "--class-position",
                     "middle")
        self.assertEqual(self.scores("dassl"), self.scores("shared"))

    def test_numpy_writes_and_reads_contexts(self):
        path = self.export("shared:1", "npz")
        with numpy.load(path, allow_pickle=False) as archive:
            self.assertEqual(archive.files, ["ctx"])
            context = archive["ctx"]
        self.assertEqual((context.dtype, context.ndim), (numpy.float32, 2))
        for name, save in (("stored", numpy.savez),
                           ("packed", numpy.savez_compressed)):
            target = self.folder / f"{name}.npz"
            save(target, ctx=context)
            self.run_cli("version", "import", target, "-t", name, "-d",
                         "shapes", "--class-position", "middle")
            self.assertEqual(self.scores(name), self.scores("shared"))
        wide = self.folder / "wide.npz"
        numpy.savez(wide, ctx=numpy.zeros((4, context.shape[1] + 1),
                                          dtype=numpy.float32))
        failed = self.run_cli("version", "import", wide, "-t", "wide", "-d",
                              "shapes", expect=1)
        self.assertIn(f"width {context.shape[1] + 1}", failed.stderr)
        evil = self.folder / "evil.npz"
        numpy.savez(evil, ctx=numpy.array([print], dtype=object))
        failed = self.run_cli("version", "import", evil, "-t", "evil", "-d",
                              "shapes", expect=1)
        self.assertIn("NPY_BAD_DTYPE", failed.stderr)

    def test_a_shared_context_serves_other_classes(self):
        done = self.run_cli("task", "create", "more", "--from-version",
                            "shared", "--classes",
                            "red disc, green square, yellow star, grey fog",
                            "-o", "json")
        job = json.loads(done.stdout)
        self.assertEqual((job["state"], job["version"]), ("succeeded", 1))
        self.assertNotIn("accuracy", json.dumps(job.get("result") or {}))
        reply = self.bench.classify("more", [self.items[0][1]], top_k=4)
        self.assertEqual(len(reply.results[0].scores), 4)
        self.assertIn("not evaluated",
                      self.run_cli("version", "list", "more").stdout)
        scored = self.run_cli("task", "create", "scored", "--from-version",
                              "shared:1", "--dataset", "shapes")
        self.assertIn("zero-shot", scored.stdout)
        self.assertEqual(self.scores("scored"), self.scores("shared"))

    def test_a_class_specific_context_stays_with_its_classes(self):
        failed = self.run_cli("task", "create", "no", "--from-version", "own",
                              "--classes", "red disc, green square", expect=1)
        self.assertIn("belongs to its own 3 classes", failed.stderr)
        path = self.export("own:1", "npz")
        failed = self.run_cli("version", "import", path, "--task", "no",
                              "--classes", "red disc, green square", expect=1)
        self.assertIn("of 3 classes, this job has 2", failed.stderr)
