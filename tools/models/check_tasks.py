#!/usr/bin/env python3
"""Checks the bundled tasks; standard library only.

usage: check_tasks.py [models/tasks]

Fails when a sprite (concept x style) is in two splits of a task (or a concept,
where the card says that whole concepts are apart), when splits disagree about
the classes, when there are too few images or too many bytes, when an image is
unreadable or of the wrong side, when a card says something else than the
folder, when a style has no credit, or when benchmark.json beside the folder
does not fit the tasks (check_benchmark.py). A folder with only a test split is
a target of that benchmark. Prints one line a task.
"""

import json
import re
import struct
import sys
from pathlib import Path

import check_benchmark

LIMIT_BYTES = 20_000_000
FEWEST = {"train": 20, "val": 4, "test": 25}
NAME = re.compile(r"^([a-z0-9-]+)-([a-z0-9]+)-(\d+)\.(jpg|png|webp)$")
NEVER_SHIPPED = {"openmoji"}  # share-alike


def png_size(data):
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[-8:-4] != b"IEND":
        raise ValueError("not a whole PNG")
    return struct.unpack(">II", data[16:24])


def jpeg_size(data):
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise ValueError("not a whole JPEG")
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            raise ValueError("broken JPEG markers")
        marker, length = data[at + 1], struct.unpack(
            ">H", data[at + 2:at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        at += 2 + length
    raise ValueError("JPEG without a frame")


def webp_size(data):
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("not a WebP")
    if struct.unpack("<I", data[4:8])[0] + 8 != len(data):
        raise ValueError("truncated WebP")
    if data[12:16] != b"VP8 " or data[23:26] != b"\x9d\x01\x2a":
        raise ValueError("not a simple lossy WebP")
    width, height = struct.unpack("<HH", data[26:30])
    return width & 0x3FFF, height & 0x3FFF


SIZE_OF = {"png": png_size, "jpg": jpeg_size, "webp": webp_size}


def check_image(path, side, problems):
    try:
        size = SIZE_OF[path.suffix[1:]](path.read_bytes())
    except (ValueError, struct.error, OSError) as error:
        problems.append(f"{path}: {error}")
        return
    if size != (side, side):
        problems.append(f"{path}: is {size[0]}x{size[1]}, not {side}")


def check_split(folder, split, card, styles, problems):
    """-> {class name: set of sprites}; adds what is wrong to problems."""
    found, images = {}, 0
    for group in sorted(p for p in folder.iterdir()):
        sprites, count = set(), 0
        for path in sorted(group.iterdir()):
            match = NAME.match(path.name)
            if not match:
                problems.append(f"{path}: not <concept>-<style>-<n>.<suffix>")
                continue
            concept, style = match[1], match[2]
            if style not in styles or style in NEVER_SHIPPED:
                problems.append(f"{path}: style {style} is not in the card")
            check_image(path, card["image_side"], problems)
            sprites.add((concept, style))
            count += 1
        if count < FEWEST[split]:
            problems.append(f"{group}: {count} images, not {FEWEST[split]}")
        found[group.name] = sprites
        images += count
    told = card["splits"][split]
    every = [s for sprites in found.values() for s in sprites]
    unseen = sum(not styles[s]["seen_by_encoder"] for _, s in every
                 if s in styles) / max(1, len(every))
    facts = {"images": images, "sprites": len(every),
             "fewest_sprites_in_a_class": min(map(len, found.values())),
             "share_unseen_style": round(unseen, 3)}
    for key, value in facts.items():
        if told[key] != value:
            problems.append(f"{folder}: card says {key} {told[key]}, "
                            f"the folder has {value}")
    return found


def check_apart(folder, splits, by_concept, problems):
    """No sprite in two splits or classes; or no concept. -> how many."""
    owner, count = {}, 0
    for split, groups in splits.items():
        for name, sprites in groups.items():
            count += len(sprites)
            for sprite in sorted(sprites):
                key = sprite[0] if by_concept else sprite
                other = owner.setdefault(key, (split, name))
                if other != (split, name):
                    problems.append(f"{folder}: {key} is in {other} and in "
                                    f"{(split, name)}")
    return count


def check_task(folder, problems):
    """-> its card and {split: {class: sprites}}, or None."""
    card = json.loads((folder / "card.json").read_text())
    styles = {s["name"]: s for s in card["styles"]}
    for style in styles.values():
        if not style["licence"] or not style["credit"]:
            problems.append(f"{folder}: {style['name']} lacks its credit")
    if not (folder / "card.md").exists():
        problems.append(f"{folder}: no card.md")
    there = sorted(p.name for p in folder.iterdir() if p.is_dir())
    if there not in (sorted(FEWEST), ["test"]):
        problems.append(f"{folder}: has the folders {there}")
        return None
    if there != sorted(card["splits"]):
        problems.append(f"{folder}: the card tells of other splits")
        return None
    splits = {split: check_split(folder / split, split, card, styles,
                                 problems) for split in there}
    if len({tuple(s) for s in splits.values()}) != 1:
        problems.append(f"{folder}: the splits have different classes")
    if len(splits["test"]) != card["classes"]:
        problems.append(f"{folder}: the card's number of classes is wrong")
    if not set(card["unseen_classes"]) <= set(splits["test"]):
        problems.append(f"{folder}: an unseen class is none of its classes")
    sprites = check_apart(folder, splits, card["disjoint_concepts"], problems)
    counts = ", ".join(f"{s} {card['splits'][s]['images']}" for s in there)
    print(f"{folder.name}: {card['classes']} classes, {counts} images, "
          f"{sprites} sprites")
    return {"card": card, "splits": splits}


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "models/tasks")
    problems = []
    tasks = sorted(p.parent for p in root.glob("*/card.json"))
    found = {task.name: check_task(task, problems) for task in tasks}
    if not tasks:
        problems.append(f"{root}: no tasks")
    if None not in found.values():
        problems += check_benchmark.problems_of(root, found)
    default = (root / "DEFAULT").read_text().strip()
    if default not in {t.name for t in tasks}:
        problems.append(f"{root}/DEFAULT: no task {default!r}")
    templates = (root / "templates.txt").read_text().splitlines()
    if len(templates) != 7 or any(t.count("{}") != 1 for t in templates):
        problems.append(f"{root}/templates.txt: not seven templates with {{}}")
    size = sum(p.stat().st_size for p in root.rglob("*") if p.is_file())
    if size > LIMIT_BYTES:
        problems.append(f"{root}: {size} bytes, over {LIMIT_BYTES}")
    for problem in problems:
        print("error:", problem, file=sys.stderr)
    print(f"{len(tasks)} tasks, {size} bytes, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
