#!/usr/bin/env python3
"""Every row of docs/failures.md names a failpoint that the code knows, a planted
bug that can be applied and a test that exists; and no failpoint, no bug is left
over. Exit status 1 with one line per finding.

    tools/check_failures.py [ROOT]
"""

import pathlib
import re
import subprocess
import sys

HEADINGS = ["failure", "what a user sees", "failpoint", "planted bug", "test"]
POINT = re.compile(r'^\s*\{"([a-z_.]+)", Kind::k\w+\}', re.M)
# A point where the code comes by it.
USED = re.compile(r'(?:Failpoint\w+|SyncThrough)\([^;]*?"([a-z_]+\.[a-z_]+)"')
TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", re.M)
ALIAS = re.compile(r"^using (\w+) = \w+Fixture;", re.M)
HEADER = re.compile(r"^(row|target|test): (.+)$", re.M)
NAME = re.compile(r"`([^`]+)`")


def rows_of(text):
    """The cells of each row of the table."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in text.splitlines() if line.startswith("|")]
    if not rows or rows[0] != HEADINGS:
        return None
    return rows[2:]


def sources(root, *folders):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h", ".py"):
                yield path, path.read_text(encoding="utf-8")


def tests_of(root):
    """Names of gtests, of their suites, and of functions and files in Python."""
    names = set()
    for path, text in sources(root, "tests"):
        if path.suffix == ".py":
            names.add(path.name)
            names |= {f"{path.name} {name}"
                      for name in re.findall(r"^\s*def (\w+)\(", text, re.M)}
        for suite, name in TEST.findall(text):
            names |= {suite, f"{suite}.{name}"}
    return names


def targets_of(root):
    names = set()
    for path in sorted((root / "tests").rglob("CMakeLists.txt")):
        names |= {f"{name}_test" for name in re.findall(
            r"NAME (\w+)(?: TORCH)?\s+SRCS", path.read_text(encoding="utf-8"))}
    return names


def check_patch(root, patch, row, tests, targets):
    text = patch.read_text(encoding="utf-8")
    header = dict(HEADER.findall(text.partition("\ndiff ")[0]))
    name = patch.relative_to(root)
    if set(header) != {"row", "target", "test"}:
        yield f"{name}: its header must say row, target and test"
        return
    if not row.startswith(header["row"]):
        yield f"{name}: is of the row \"{header['row']}\", not of \"{row}\""
    if header["test"] not in tests:
        yield f"{name}: there is no test {header['test']}"
    if header["target"] not in targets:
        yield f"{name}: there is no target {header['target']}"
    applied = subprocess.run(["git", "apply", "--check", str(patch)], cwd=root,
                             capture_output=True, text=True)
    if applied.returncode:
        yield f"{name}: does not apply: {applied.stderr.strip()}"


def check_row(root, row, points, tests):
    failure, _, failpoints, bugs, shown = row
    named = NAME.findall(failpoints)
    if not named and not failpoints.startswith("none: "):
        yield f"\"{failure}\": no failpoint, and no reason why"
    for point in named:
        if point not in points:
            yield f"\"{failure}\": there is no failpoint {point}"
    if not NAME.findall(bugs):
        yield f"\"{failure}\": no planted bug"
    for bug in NAME.findall(bugs):
        if not (root / "tests/planted" / f"{bug}.patch").exists():
            yield f"\"{failure}\": there is no tests/planted/{bug}.patch"
    if not NAME.findall(shown):
        yield f"\"{failure}\": no test"
    for test in NAME.findall(shown):
        if test not in tests:
            yield f"\"{failure}\": there is no test {test}"


def check_points(root, points, rows):
    """Every point is passed by the code, in the table, and in a test."""
    folders = ("common", "store", "jobs", "registry", "server", "wire",
               "worker")
    used = set()
    for path, text in sources(root, *folders):
        if path.name not in ("failpoint.cc", "failpoint.h"):
            used |= set(USED.findall(text))
    tabled = {point for row in rows for point in NAME.findall(row[2])}
    tested = "".join(text for _, text in sources(root, "tests"))
    for point in sorted(points | used):
        if point not in points:
            yield f"common/failpoint.cc does not list {point}"
        elif point not in used:
            yield f"failpoint {point}: no code comes by it"
        elif point not in tabled:
            yield f"failpoint {point}: has no row"
        elif not re.search(re.escape(point) + r"\b", tested):
            yield f"failpoint {point}: no test reaches it"


def check(root):
    rows = rows_of((root / "docs/failures.md").read_text(encoding="utf-8"))
    if not rows:
        return [f"docs/failures.md: no table with {' | '.join(HEADINGS)}"], 0, 0
    points = set(POINT.findall(
        (root / "common/failpoint.cc").read_text(encoding="utf-8")))
    tests, targets = tests_of(root), targets_of(root)
    findings, of_row = [], {}
    for row in rows:
        if len(row) != len(HEADINGS):
            findings.append(f"\"{row[0]}\": {len(row)} cells")
            continue
        findings += check_row(root, row, points, tests)
        of_row.update({bug: row[0] for bug in NAME.findall(row[3])})
    for patch in sorted((root / "tests/planted").glob("*.patch")):
        if patch.stem not in of_row:
            findings.append(f"{patch.relative_to(root)}: has no row")
            continue
        findings += check_patch(root, patch, of_row[patch.stem], tests, targets)
    findings += check_points(root, points,
                             [row for row in rows if len(row) == len(HEADINGS)])
    return findings, len(rows), len(points)


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        pathlib.Path(__file__).resolve().parent.parent)
    findings, rows, points = check(root)
    for finding in findings:
        print(finding)
    if not findings:
        print(f"failures: {rows} rows, {points} failpoints")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
