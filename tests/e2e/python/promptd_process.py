"""Starts and stops the programs under test.

Environment: PROMPTD_BIN, PROMPTCTL_BIN, PROMPTD_WORKER_BIN, PROMPTD_MODELS,
PROMPTD_SOURCE_DIR.
"""
import json
import os
import pathlib
import sqlite3
import subprocess
import time

START_SECONDS = 90
TOKEN = "a-token-for-tests-only-no-secret"


def program(variable):
    path = os.environ.get(variable, "")
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{variable} must name an executable, is {path!r}")
    return path


def environment(failpoints=""):
    """Ours without settings that would reach the programs by accident."""
    keep = {k: v for k, v in os.environ.items()
            if not k.startswith("PROMPTD_")}
    keep["PROMPTD_MODELS"] = os.environ["PROMPTD_MODELS"]
    if failpoints:  # common/failpoint.h
        keep["PROMPTD_FAILPOINTS"] = failpoints
    return keep


# Before a command: it dies with us. Python's preexec_fn would run between fork
# and exec, where the threads of our gRPC are missing, and may hang there.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Program:
    """A program of ours; its log, and the file that says it is ready, in
    `folder`."""

    def __init__(self, name, folder, command, failpoints=""):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ready = self.folder / "ready.json"
        self.ready.unlink(missing_ok=True)
        self.log = self.folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*DIE_WITH_PARENT, *command, "--ready-file", str(self.ready)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=environment(failpoints))
        self.addresses = self._wait_until_ready()

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.ready.exists():
                return json.loads(self.ready.read_text())
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"{self.name} did not start:\n{self.tail()}")

    def tail(self, lines=30):
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9."""
        if self.alive():
            self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit status."""
        if self.alive():
            self.process.terminate()
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Promptd(Program):
    """One promptd on free ports; data, unless said, in `folder`."""

    def __init__(self, folder, *extra, data_dir=None, failpoints=""):
        self.data_dir = pathlib.Path(data_dir or pathlib.Path(folder) / "data")
        super().__init__("promptd", folder, [
            program("PROMPTD_BIN"), "--data-dir", str(self.data_dir),
            "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", *extra],
            failpoints)
        self.grpc = self.addresses["listen"]
        self.http = self.addresses["http"]
        self.workers = self.addresses["workers"]


    def integrity(self):
        """What SQLite says of the database; promptd has ended."""
        with sqlite3.connect(f"file:{self.data_dir}/promptd.db?mode=ro",
                             uri=True) as db:
            rows = db.execute("PRAGMA integrity_check").fetchall()
        return "; ".join(text for text, in rows[:3])


def token_file(folder):
    """A file of TOKEN, as promptd and its workers want it."""
    path = pathlib.Path(folder) / "token"
    path.touch(mode=0o600)
    path.write_text(TOKEN + "\n")
    return path


def front_end(folder, token, lease, *extra, listen="127.0.0.1:0",
              failpoints=""):
    """A promptd that computes nothing itself; `lease` in seconds."""
    return Promptd(folder, "--worker-listen", listen, "--worker-token-file",
                   str(token), "--no-local-worker", "--lease", f"{lease}s",
                   *extra, failpoints=failpoints)


class Worker(Program):
    """One promptd-worker on a free port."""

    def __init__(self, folder, frontend, token_file, *extra, failpoints=""):
        super().__init__("promptd-worker", folder, [
            program("PROMPTD_WORKER_BIN"), "--frontend", frontend,
            "--token-file", str(token_file), "--listen", "127.0.0.1:0",
            "--data-dir", str(pathlib.Path(folder) / "data"), *extra],
            failpoints)
        self.id = self.addresses["id"]


def promptctl(*arguments, server=None, timeout=300):
    """Runs promptctl; returns subprocess.CompletedProcess with text."""
    command = [program("PROMPTCTL_BIN")]
    if server:
        command += ["-s", server]
    return subprocess.run(command + [str(a) for a in arguments],
                          capture_output=True, text=True, timeout=timeout,
                          env=environment(), stdin=subprocess.DEVNULL)


def processes_with(text):
    """Ids of live processes whose command line holds `text`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in line:
            found.append(int(entry.name))
    return found
