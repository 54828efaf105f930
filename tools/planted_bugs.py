#!/usr/bin/env python3
"""Are the tests able to fail? Plants each bug of tests/planted, one at a time,
and expects the test that its header names to fail. One line each; exit status 1
when one is not caught.

    tools/planted_bugs.py [--only NAME ...] [--tree FOLDER] [--jobs N]

Works in a copy of the tree (build/planted by default) with a build folder of its
own, which stays for the next time. A bug is caught when its test passes without
it, the tree builds with it, and the test then fails by an assertion: not in the
build, not by a crash or a hang.

A patch begins with what the bug is, and with the lines

    row: the beginning of its row in docs/failures.md
    target: a test binary of the build
    test: one gtest of it
"""

import argparse
import filecmp
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PRESET = "release"
TEST_SECONDS = 300
HEADER = re.compile(r"^(row|target|test): (.+)$", re.M)


def planted(folder):
    """{name: {"row": ..., "target": ..., "test": ..., "patch": path}}"""
    bugs = {}
    for path in sorted(folder.glob("*.patch")):
        header, _, _ = path.read_text(encoding="utf-8").partition("\ndiff ")
        bugs[path.stem] = {**dict(HEADER.findall(header)), "patch": path}
    return bugs


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


class Tree:
    """The copy that is broken and mended."""

    def __init__(self, folder, jobs):
        self.folder, self.jobs = folder, jobs
        self.build = folder / "build" / PRESET

    def refresh(self):
        """As the working tree is now, tracked files and new ones; what did not
        change keeps its time, so that it is not built again."""
        listed = run(["git", "ls-files", "-z", "--cached", "--others",
                      "--exclude-standard"], cwd=ROOT, check=True).stdout
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / ".git").exists():  # for git apply
            self.must(["git", "init", "--quiet"])
        for name in filter(None, listed.split("\0")):
            source, target = ROOT / name, self.folder / name
            if not source.is_file():
                continue
            if target.exists() and filecmp.cmp(source, target, shallow=False):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        venv = self.folder / ".venv"
        if not venv.exists():
            venv.symlink_to((ROOT / ".venv").resolve())
        if not (self.build / "build.ninja").exists():
            self.must(["cmake", "--preset", PRESET])

    def must(self, command, **options):
        result = run(command, cwd=self.folder, **options)
        if result.returncode:
            sys.exit(f"{' '.join(map(str, command))}:\n"
                     f"{result.stdout[-3000:]}{result.stderr[-3000:]}")
        return result

    def make(self, *targets):
        """Whether they were built."""
        return run(["cmake", "--build", str(self.build), "-j", str(self.jobs),
                    "--target", *targets], cwd=self.folder)

    def apply(self, patch, *options):
        self.must(["git", "apply", *options, str(patch)])

    def test(self, bug):
        """Exit status of the bug's test: 0 passed, 1 failed, else broken."""
        found = list(self.build.glob(f"tests/*/{bug['target']}"))
        if len(found) != 1:
            return None, f"there is no test binary {bug['target']}"
        try:
            result = run(
                [str(found[0]), f"--gtest_filter={bug['test']}"],
                cwd=self.build, timeout=TEST_SECONDS,
                env={"PROMPTD_SOURCE_DIR": str(self.folder),
                     "PROMPTD_BINARY_DIR": str(self.build),
                     "PATH": "/usr/bin:/bin"})
        except subprocess.TimeoutExpired:
            return None, f"hangs for {TEST_SECONDS} s"
        if "[ RUN      ]" not in result.stdout:
            return None, f"there is no test {bug['test']}"
        return result.returncode, result.stdout


def examine(tree, bug):
    """(caught, what to print)"""
    status, output = tree.test(bug)
    if status != 0:
        return False, f"fails without the bug: {output[-1000:]}"
    tree.apply(bug["patch"])
    try:
        built = tree.make(bug["target"])
        if built.returncode:
            return False, f"does not build: {built.stdout[-2000:]}"
        status, output = tree.test(bug)
    finally:
        tree.apply(bug["patch"], "--reverse")
    if status == 0:
        return False, "NOT CAUGHT: the test passes with the bug"
    if status is None:
        return False, output
    if status != 1 or "Failure" not in output:
        return False, f"the test broke ({status}): {output[-1000:]}"
    return True, "caught"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--tree", type=pathlib.Path,
                        default=ROOT / "build/planted")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    bugs = planted(ROOT / "tests/planted")
    unknown = set(args.only) - set(bugs)
    if unknown:
        sys.exit(f"there is no bug {', '.join(sorted(unknown))}")
    chosen = {name: bug for name, bug in bugs.items()
              if not args.only or name in args.only}
    tree = Tree(args.tree.resolve(), args.jobs)
    tree.refresh()
    targets = sorted({bug["target"] for bug in chosen.values()})
    built = tree.make(*targets)
    if built.returncode:
        sys.exit(f"the tree does not build:\n{built.stdout[-3000:]}")
    missed = 0
    # By target: each is mended by the build of the next bug.
    for name, bug in sorted(chosen.items(),
                            key=lambda entry: (entry[1]["target"], entry[0])):
        begin = time.monotonic()
        # The bug before may have been in a library that this one's test links.
        tree.make(bug["target"])
        caught, verdict = examine(tree, bug)
        missed += not caught
        print(f"{name}: {verdict} by {bug['target']} {bug['test']} "
              f"({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} planted bugs caught")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
