#!/usr/bin/env python3
"""Every reason that a client can be refused with has a row in docs/errors.md,
and every row has a source. Exit status 1 with one line per finding.

    tools/check_errors.py [ROOT]
"""

import pathlib
import re
import sys

# Rooms whose errors reach a client. A code of kInternal is a defect of ours,
# not an answer, and needs no row.
ROOMS = ("clip datasets jobs learners registry server store weights wire "
         "worker")
CALLS = [
    re.compile(r'MakeError\(\s*absl::StatusCode::k(\w+),\s*'
               r'"([A-Z][A-Z0-9_]{2,62})"'),
    re.compile(r'(InvalidFields)\(\s*"([A-Z][A-Z0-9_]{2,62})"'),
]
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|", re.M)
# Answers between our own rooms and tools, never to a client.
INSIDE = set("""
    BAD_CHECKPOINT BAD_CONTEXT_TOKENS BAD_IMAGE_SHAPE BAD_SCORING_INPUT
    BAD_STORED_SPEC BAD_TOKEN_ROW BAD_TRAINER_SPEC BAD_TRAINING_DATA
    CHECKPOINT_MISMATCH DUPLICATE_SPLIT EMPTY_LABELS FEATURES_DIFFER
    FOLDER_NOT_FOUND FOLDER_UNREADABLE INVALID_SHOTS JOB_CANCELLED
    JOB_CANCELLED_LATER JOB_DRAINED
    JOB_PAUSED JOB_PUBLISHED LEASE_LOST NOT_A_FOLDER NOT_UTF8 NO_CLASSES
    ONE_CLASS ROW_EXISTS TENSOR_NOT_FOUND ZIP_NO_ENTRY
""".split())


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        pathlib.Path(__file__).resolve().parent.parent)
    used, source = {}, ""
    for room in ROOMS.split():
        for path in sorted((root / room).glob("*.[ch]*")):
            text = path.read_text(encoding="utf-8")
            source += text
            for call in CALLS:
                for code, reason in call.findall(text):
                    if code != "Internal":
                        used.setdefault(reason, path.relative_to(root))
    # These need no row, but a row may be theirs.
    for path in [root / "common/address.cc", root / "common/file.cc",
                 *(root / "client").glob("*.cc")]:
        source += path.read_text(encoding="utf-8")
    documented = set(ROW.findall(
        (root / "docs/errors.md").read_text(encoding="utf-8")))
    findings = [f"{path}: reason {reason} has no row in docs/errors.md"
                for reason, path in sorted(used.items())
                if reason not in documented | INSIDE]
    findings += [f"docs/errors.md: no source answers {reason}"
                 for reason in sorted(documented)
                 if f'"{reason}"' not in source]
    findings += [f"tools/check_errors.py: no source has {reason}"
                 for reason in sorted(INSIDE) if f'"{reason}"' not in source]
    for finding in findings:
        print(finding)
    if not used:
        print("no sources found")
    elif not findings:
        print(f"errors: {len(documented)} reasons documented")
    return 1 if findings or not used else 0


if __name__ == "__main__":
    sys.exit(main())
