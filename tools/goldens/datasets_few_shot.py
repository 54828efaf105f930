"""Writes tests/golden/datasets/few_shot.json with CPython's own random.

Run with CPython 3.11 and nothing else:

    python3.11 tools/goldens/datasets_few_shot.py

Holds raw generator output, random.sample draws on both of its branches, and
whole few-shot splits drawn by CoOp's rule from class layouts that are given as
one class index an item.
"""

import json
import pathlib
import random
import sys

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/datasets"
SEEDS = (1, 2, 3)
SHOTS = (1, 2, 4, 8, 16)


def few_shot(labels, shots):
    """Dassl's rule: group by first appearance, sample each group."""
    groups = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    picked = []
    for items in groups.values():
        picked += random.sample(items, shots) if len(items) >= shots else items
    return picked


def layouts():
    """(name, training labels, validation labels)."""
    even = [c for c in range(5) for _ in range(20)]
    mixed = [(i * 7 + i // 9) % 6 for i in range(240)]
    large = [c for c in (2, 0, 1) for _ in range(200 + 50 * c)]
    yield "even", even, [c for c in range(5) for _ in range(6)]
    yield "interleaved", mixed, [(i * 5) % 6 for i in range(40)]
    yield "large_out_of_order", large, [1, 1, 0, 2, 2, 2, 2, 2, 0]
    yield "no_validation", [c % 3 for c in range(60)], []


def main():
    if sys.version_info[:2] != (3, 11):
        sys.exit("run this with CPython 3.11: the rule may differ in others")
    golden = {"python": "3.11", "generator": [], "samples": [], "splits": []}
    for seed in (0, 1, 2, 3, -1, 2**31, 2**32 - 1, 2**32, 2**63 - 1):
        random.seed(seed)
        golden["generator"].append({
            "seed": str(seed),
            "bits": [random.getrandbits(b)
                     for b in (32, 1, 7, 31, 32) for _ in range(4)],
            "below": [random._inst._randbelow(n)
                      for n in (1, 2, 3, 10, 1000, 2**31) for _ in range(4)],
            "word_1500": [random.getrandbits(32) for _ in range(1500)][-1],
        })
    for size, count in ((1, 0), (1, 1), (5, 5), (21, 1), (22, 1), (21, 5),
                        (22, 5), (85, 6), (86, 6), (85, 16), (86, 21),
                        (277, 22), (278, 22), (1000, 16), (100000, 100)):
        random.seed(7)
        golden["samples"].append({
            "size": size, "count": count,
            "picked": random.sample(range(size), count)})
    for name, train, val in layouts():
        for seed in SEEDS:
            for shots in SHOTS:
                random.seed(seed)
                golden["splits"].append({
                    "layout": name, "seed": seed, "shots": shots,
                    "train": few_shot(train, shots),
                    "val": few_shot(val, min(shots, 4))})
    golden["layouts"] = {name: {"train": train, "val": val}
                         for name, train, val in layouts()}
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps(golden, separators=(",", ":"))
    (OUT / "few_shot.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
