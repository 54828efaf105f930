#!/usr/bin/env python3
"""Checks the rooms: who includes whom, where torch, protobuf and SQL may
stand, and how large files are. Exit status 1 with one line per finding.

    tools/check_rooms.py [ROOT]
"""

import pathlib
import re
import statistics
import subprocess
import sys

# room -> rooms whose headers any of its files may include.
MAY_INCLUDE = {
    "common": set(),
    "weights": {"common"},
    "datasets": {"common"},
    "clip": {"common", "weights"},
    "learners": {"common", "clip", "datasets", "weights"},
    "worker": {"common", "datasets", "weights"},
    "metrics": {"common", "worker"},
    "store": {"common"},
    "jobs": {"common", "store"},
    "registry": {"common", "store"},
    "wire": {"common", "proto", "datasets", "metrics", "weights", "worker"},
    "server": {"common", "proto", "jobs", "registry", "store", "worker",
               "datasets", "metrics", "weights", "wire"},
    "experiments": {"common", "proto"},
    "client": {"common", "proto", "datasets", "experiments", "weights"},
}
# Further rooms that only .cc files may include.
MAY_INCLUDE_IN_CC = {"worker": {"clip", "learners"}}

# Third parties that live in few rooms.
PRIVATE = {
    "torch": (re.compile(r"<(ATen|c10|torch|caffe2)/"),
              {"clip", "learners", "worker"}),
    "wide torch headers": (re.compile(
        r"<(ATen/ATen\.h|torch/(torch|types|script|serialize)\.h)>"), set()),
    "SQL": (re.compile(r"<(sqlite3|libpq-fe)\.h>"), {"store"}),
    "protobuf or gRPC": (re.compile(
        r"[<\"](google/protobuf/|grpc|promptd/(worker/)?v1/|inference/|google/rpc/)"),
        {"proto", "wire", "server", "experiments", "client"}),
    "OpenCV": (re.compile(r"<opencv2/"), {"datasets"}),
    "Cairo": (re.compile(r"<cairo"), {"experiments"}),
    "libjpeg": (re.compile(r"<jpeglib\.h>"), {"datasets"}),
}
# Rooms whose headers stay free of torch, so that others can include them.
TORCH_FREE_HEADERS = {"worker"}

CEILING, HEADER_WARNING = 500, 200
MEDIAN_CEILING = 150

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+[>"])', re.M)


def tracked(root):
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard",
         "*.cc", "*.h"], cwd=root, capture_output=True, text=True, check=True)
    return [pathlib.PurePosixPath(line) for line in out.stdout.splitlines()
            if (root / line).exists()]


def check_includes(path, text):
    room = path.parts[0]
    if room not in MAY_INCLUDE:
        return
    allowed = MAY_INCLUDE[room] | {room}
    if path.suffix == ".cc":
        allowed |= MAY_INCLUDE_IN_CC.get(room, set())
    for include in INCLUDE.findall(text):
        target = include[1:-1].split("/")[0]
        if include[0] == '"' and target in MAY_INCLUDE and target not in allowed:
            yield f"{path}: room {room} may not include {include}"
        for name, (pattern, rooms) in PRIVATE.items():
            if pattern.match(include) and room not in rooms:
                yield f"{path}: {name} may not be included here: {include}"
        if (path.suffix == ".h" and room in TORCH_FREE_HEADERS
                and PRIVATE["torch"][0].match(include)):
            yield f"{path}: headers of {room} stay free of torch: {include}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        pathlib.Path(__file__).resolve().parent.parent)
    findings, sizes = [], []
    for path in tracked(root):
        text = (root / path).read_text(encoding="utf-8")
        lines = text.count("\n")
        sizes.append(lines)
        findings += check_includes(path, text)
        if lines > CEILING:
            findings.append(f"{path}: {lines} lines, the ceiling is {CEILING}")
        elif path.suffix == ".h" and lines > HEADER_WARNING:
            print(f"warning: {path}: header of {lines} lines")
    if not sizes:
        findings.append("no sources found")
    elif statistics.median(sizes) > MEDIAN_CEILING:
        findings.append(f"median file has {statistics.median(sizes)} lines, "
                        f"the ceiling is {MEDIAN_CEILING}")
    for finding in findings:
        print(finding)
    if not findings:
        print(f"rooms: {len(sizes)} files, median "
              f"{statistics.median(sizes):.0f} lines, largest {max(sizes)}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
