"""promptctl experiment: kills of both sides change no result, and a member
that fails stops no other."""
import csv
import json
import pathlib
import subprocess
import tempfile

import images
import promptd_process
import workbench

SOME_FAILED, TIME_IS_UP = 1, 7


def benchmark(folder):
    """Two tasks of the same images; the source is scored on one target."""
    for name, seed in (("shapes", 1), ("more", 2), ("drawn", 3)):
        images.write_folder(folder / name, images.tiny_dataset(seed=seed))
    template = "a picture of a {}."
    path = folder / "benchmark.json"
    path.write_text(json.dumps({
        "tasks": [{"name": name, "folder": name, "template": template,
                   "unseen_classes": [images.CLASSES[0]]}
                  for name in ("shapes", "more")],
        "domain_generalization": {
            "source": {"name": "shapes", "folder": "shapes",
                       "template": template},
            "targets": [{"name": "drawn", "folder": "drawn",
                         "unseen_style": True}]},
        "encoders": [{"name": "embedded"}]}))
    return path


def rows(out):
    """What results.csv says, without what a clock or a counter says."""
    with open(out / "results.csv", newline="") as file:
        return [{key: value for key, value in row.items()
                 if key not in ("seconds", "job", "version")}
                for row in csv.DictReader(file)]


class ExperimentCase(workbench.Case):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="promptd-experiment-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.benchmark = benchmark(self.folder)

    def start(self, name, *extra):
        server = promptd_process.Promptd(self.folder / name, *extra)
        self.addCleanup(server.kill)
        return server

    def command(self, out, experiment, epochs):
        return ["experiment", "run", experiment, "--benchmark", self.benchmark,
                "--out", self.folder / out, "--shots", "2", "--seeds", "1",
                "--epochs", epochs]

    def run_to_the_end(self, server, out, experiment, epochs=2):
        return promptd_process.promptctl(
            *self.command(out, experiment, epochs), server=server.grpc)

    def killed_run(self, server, out, experiment, epochs, members):
        """kill -9 of promptctl once so many members have their result."""
        process = subprocess.Popen(
            [*promptd_process.DIE_WITH_PARENT,
             promptd_process.program("PROMPTCTL_BIN"), "-s", server.grpc,
             *map(str, self.command(out, experiment, epochs))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=promptd_process.environment())
        try:
            workbench.wait_for(
                lambda: len(list((self.folder / out / "members").glob(
                    "*.json"))) >= members or process.poll() is not None,
                60, f"{members} results")
        finally:
            process.kill()
            process.wait()

    def test_kills_of_both_sides_change_no_result(self):
        epochs = 10
        server = self.start("killed")
        self.killed_run(server, "out", "initialization", epochs, 1)
        server.kill()
        server = self.start("killed")
        self.killed_run(server, "out", "initialization", epochs, 2)
        done = self.run_to_the_end(server, "out", "initialization", epochs)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("had a result already", done.stderr)
        self.assertEqual(server.stop(), 0, server.tail())

        calm = self.start("calm")
        self.time_is_up(calm, "calm-out", "initialization", epochs)
        done = self.run_to_the_end(calm, "calm-out", "initialization", epochs)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(rows(self.folder / "out"),
                         rows(self.folder / "calm-out"))
        # 2 tasks, 2 methods, each asked for once.
        self.assertEqual(len(rows(self.folder / "out")), 4)
        bench = workbench.Bench(calm.grpc)
        self.addCleanup(bench.close)
        jobs = bench.call("TrainingService", "ListTrainingJobs").jobs
        self.assertEqual(len(jobs), 4)
        # Again, without the results: the same jobs have them.
        for file in (self.folder / "calm-out/members").iterdir():
            file.unlink()
        self.run_to_the_end(calm, "calm-out", "initialization", epochs)
        jobs = bench.call("TrainingService", "ListTrainingJobs").jobs
        self.assertEqual(len(jobs), 4)
        self.assertEqual(rows(self.folder / "out"),
                         rows(self.folder / "calm-out"))
        self.check_report("calm-out", "initialization", calm)

    def time_is_up(self, server, out, experiment, epochs):
        """It ends long before its members do, and says how to go on."""
        done = promptd_process.promptctl(
            *self.command(out, experiment, epochs), "--minutes", "0.0001",
            server=server.grpc)
        self.assertEqual(done.returncode, TIME_IS_UP, done.stderr)
        self.assertIn("run the same command again", done.stderr)

    def check_report(self, out, experiment, server):
        """It is made again without a server, the same."""
        self.assertEqual(server.stop(), 0, server.tail())
        folder = self.folder / out
        before = (folder / "tables.md").read_text()
        (folder / "tables.md").unlink()
        (folder / f"{experiment}.png").unlink()
        done = promptd_process.promptctl("experiment", "report", experiment,
                                         "--out", folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((folder / "tables.md").read_text(), before)
        self.assertTrue((folder / f"{experiment}.png").read_bytes()
                        .startswith(b"\x89PNG\r\n"))
        self.assertIn("</svg>", (folder / f"{experiment}.svg").read_text())
        self.assertIn("| shapes", before)
        self.assertIn("Unseen", before)

    def test_a_member_that_fails_stops_no_other(self):
        server = self.start("failing")
        # A context of 16 vectors does not fit these names; one of 4 does.
        long_name = "x " * 61 + "x"
        for old in self.folder.glob("*/*/red_disc"):
            old.rename(old.with_name(long_name.replace(" ", "_")))
        text = self.benchmark.read_text().replace(images.CLASSES[0], long_name)
        self.benchmark.write_text(text)
        done = self.run_to_the_end(server, "out", "domain-generalization")
        self.assertEqual(done.returncode, SOME_FAILED, done.stderr)
        self.assertIn("MEMBERS_FAILED", done.stderr)
        found = rows(self.folder / "out")
        states = {(row["method"], row["state"]) for row in found}
        self.assertIn(("coop-m4-end", "succeeded"), states)
        self.assertIn(("coop-m16-end", "failed"), states)
        self.assertEqual({row["scored_on"] for row in found
                          if row["state"] == "succeeded"},
                         {"shapes", "drawn"})
        tables = (self.folder / "out/tables.md").read_text()
        self.assertIn("### Failed", tables)
        self.assertIn("INVALID_SPEC", tables)
