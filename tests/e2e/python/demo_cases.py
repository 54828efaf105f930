"""promptctl demo: the one command, and what it leaves behind."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import promptd_process
import workbench

OK_LINE = re.compile(r"demo: OK zero-shot (\d+\.\d)% learned (\d+\.\d)% "
                     r"\(\+(\d+\.\d)\) job (\d+\.\d)s")


class DemoCase(workbench.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="promptd-demo-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def command(self, *extra):
        return [promptd_process.program("PROMPTCTL_BIN"), "demo",
                "--promptd", promptd_process.program("PROMPTD_BIN"), *extra]

    def environment(self):
        return {**promptd_process.environment(), "TMPDIR": str(self.folder)}

    def assert_nothing_left(self):
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(promptd_process.processes_with(str(self.folder)), [])

    def test_it_learns_and_leaves_nothing_behind(self):
        done = subprocess.run(self.command(), env=self.environment(),
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        line = OK_LINE.fullmatch(done.stdout.strip())
        self.assertIsNotNone(line, done.stdout)
        zero_shot, learned = float(line[1]), float(line[2])
        self.assertGreater(learned, zero_shot)
        self.assertIn("production", done.stderr)
        self.assert_nothing_left()

    def test_ctrl_c_leaves_nothing_behind(self):
        process = subprocess.Popen(
            promptd_process.DIE_WITH_PARENT + self.command(),
            env=self.environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if line.startswith("serving"):
                break
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assert_nothing_left()

    def test_a_killed_demo_takes_its_server_with_it(self):
        process = subprocess.Popen(
            promptd_process.DIE_WITH_PARENT + self.command(),
            env=self.environment(), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        for line in process.stderr:
            if line.startswith("serving"):
                break
        process.kill()
        process.communicate(timeout=60)
        workbench.wait_for(
            lambda: not promptd_process.processes_with(str(self.folder)), 30,
            "promptd to end with its parent")

    def test_an_unknown_task_fails_in_one_line(self):
        done = subprocess.run(self.command("--task", "no-such-task"),
                              env=self.environment(), capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stdout, r"^demo: FAILED .*no-such-task")
        self.assertEqual(done.stdout.count("\n"), 1)
        self.assert_nothing_left()
