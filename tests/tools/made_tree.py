"""A checker of tools/ run on a tree that a test makes."""

import pathlib
import subprocess
import sys
import tempfile


def check(tool, files):
    """The finished process; `files` maps paths to texts."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return subprocess.run([sys.executable, tool, folder],
                              capture_output=True, text=True)
