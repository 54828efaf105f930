"""tools/models/check_tasks.py and check_benchmark.py find what they look for."""

import copy
import json
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/models"))
import check_benchmark  # noqa: E402
import check_tasks  # noqa: E402


def task(style, splits, seen=False):
    card = {"template": "a {}.", "unseen_classes": [],
            "styles": [{"name": style, "seen_by_encoder": seen}]}
    return {"card": card,
            "splits": {split: {"bird": {("owl", style)}} for split in splits}}


class Benchmark(unittest.TestCase):
    def setUp(self):
        names = [f"t{i}" for i in range(check_benchmark.FEW_SHOT_TASKS)]
        every = ("train", "val", "test")
        self.found = {name: task("noto", every) for name in [*names, "from"]}
        self.found["to"] = task("emojione", ("test",))
        entry = {"template": "a {}.", "unseen_classes": []}
        self.told = {
            "tasks": [{"name": n, "folder": f"tasks/{n}", **entry}
                      for n in names],
            "variant_tasks": names[:4],
            "domain_generalization": {
                "source": {"name": "from", "folder": "tasks/from", **entry},
                "targets": [{"name": "to", "folder": "tasks/to",
                             "unseen_style": True}]},
            "encoders": [{"name": "small", "folder": "small"}]}

    def problems(self, change=lambda told, found: None):
        told, found = copy.deepcopy((self.told, self.found))
        change(told, found)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "benchmark.json").write_text(json.dumps(told))
            (Path(folder) / "small").mkdir()
            for name in check_benchmark.ENCODER_FILES:
                (Path(folder) / "small" / name).touch()
            return check_benchmark.problems_of(Path(folder) / "tasks", found)

    def test_accepts_a_sound_one(self):
        self.assertEqual(self.problems(), [])

    def test_finds_each_fault(self):
        faults = {
            "not one {}": lambda t, f: t["tasks"][0].update(template="a"),
            "another template":
                lambda t, f: t["tasks"][0].update(template="the {}."),
            "another unseen_classes":
                lambda t, f: t["tasks"][0].update(unseen_classes=["bird"]),
            "no task in": lambda t, f: t["tasks"][0].update(folder="tasks/x"),
            "has the keys": lambda t, f: t["tasks"][0].update(note=""),
            "not 11 different": lambda t, f: t["tasks"].pop(),
            "variant_tasks": lambda t, f: t["variant_tasks"].pop(),
            "nothing to train on": lambda t, f: f["t0"]["splits"].pop("train"),
            "not the source's classes":
                lambda t, f: f["to"]["splits"]["test"].update(fish=set()),
            "the source lacks": lambda t, f: f["to"]["splits"]["test"].update(
                bird={("dodo", "emojione")}),
            "style of the source":
                lambda t, f: f["to"]["card"]["styles"][0].update(name="noto"),
            "unseen_style is not": lambda t, f: t["domain_generalization"][
                "targets"][0].update(unseen_style=False),
            "no target":
                lambda t, f: t["domain_generalization"]["targets"].clear(),
            "in no list": lambda t, f: f.update(more=f["t0"]),
            "no merges.txt": lambda t, f: t["encoders"].append(
                {"name": "other", "folder": "other"}),
            "no encoders": lambda t, f: t["encoders"].clear(),
        }
        for sentence, change in faults.items():
            with self.subTest(sentence):
                found = self.problems(change)
                self.assertTrue(any(sentence in p for p in found), found)


class Apart(unittest.TestCase):
    def problems(self, by_concept, *places):
        splits = {}
        for split, group, sprite in places:
            splits.setdefault(split, {}).setdefault(group, set()).add(sprite)
        problems = []
        check_tasks.check_apart("task", splits, by_concept, problems)
        return len(problems)

    def test_sprites_and_concepts(self):
        first = ("train", "bird", ("owl", "noto"))
        same = ("test", "bird", ("owl", "noto"))
        restyled = ("test", "bird", ("owl", "fxemoji"))
        other_class = ("train", "pet", ("owl", "noto"))
        self.assertEqual(self.problems(False, first, restyled), 0)
        self.assertEqual(self.problems(True, first, restyled), 1)
        self.assertEqual(self.problems(False, first, same), 1)
        self.assertEqual(self.problems(False, first, other_class), 1)


if __name__ == "__main__":
    unittest.main()
