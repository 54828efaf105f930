"""Starts and stops the programs under test.

Environment: PROMPTD_BIN, PROMPTCTL_BIN, PROMPTD_MODELS, PROMPTD_SOURCE_DIR.
"""
import json
import os
import pathlib
import subprocess
import time

START_SECONDS = 90


def program(variable):
    path = os.environ.get(variable, "")
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"{variable} must name an executable, is {path!r}")
    return path


def environment():
    """Ours without settings that would reach the programs by accident."""
    keep = {k: v for k, v in os.environ.items()
            if not k.startswith("PROMPTD_")}
    keep["PROMPTD_MODELS"] = os.environ["PROMPTD_MODELS"]
    return keep


# Before a command: it dies with us. Python's preexec_fn would run between fork
# and exec, where the threads of our gRPC are missing, and may hang there.
DIE_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Promptd:
    """One promptd on free ports; log, and data unless said, in `folder`."""

    def __init__(self, folder, *extra, data_dir=None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ready = self.folder / "ready.json"
        self.ready.unlink(missing_ok=True)
        self.log = self.folder / "promptd.log"
        self.data_dir = pathlib.Path(data_dir or self.folder / "data")
        command = [*DIE_WITH_PARENT,
                   program("PROMPTD_BIN"), "--data-dir", str(self.data_dir),
                   "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                   "--ready-file", str(self.ready), *extra]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=environment())
        addresses = self._wait_until_ready()
        self.grpc = addresses["listen"]
        self.http = addresses["http"]

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.ready.exists():
                return json.loads(self.ready.read_text())
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"promptd did not start:\n{self.tail()}")

    def tail(self, lines=30):
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])

    def alive(self):
        return self.process.poll() is None

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
