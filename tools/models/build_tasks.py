"""Draws the bundled few-shot tasks.

usage: build_tasks.py WORK_DIR models/tasks

Each class's sprites (concept x style) are dealt to train, val and test so
that no sprite is in two of them; a sprite is then drawn once or more, turned,
scaled and on different backgrounds. Writes the images, card.json and card.md
of every task. Deterministic: the same sources give the same bytes.
"""

import hashlib
import io
import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import augment
import captions
import sources
from task_specs import TASKS

SIDE = 88
WANTED = {"train": 20, "val": 12, "test": 30}
SHARE = {"val": 0.2, "test": 0.4}
GROUNDS = ("plain", "gradient", "cloudy", "striped", "dotted", "radial",
           "wavy", "checkered")


def seed_of(*words):
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def deal(sprites, name):
    """Splits one class's sprites: at least one for val, three for the others.
    The word in the seed names the deal: another one makes fresh splits."""
    sprites = sorted(sprites)
    random.Random(seed_of("deal 2", name)).shuffle(sprites)
    count = len(sprites)
    val = max(1, round(SHARE["val"] * count))
    test = max(3, round(SHARE["test"] * count))
    if count - val - test < 3:
        raise SystemExit(f"{name}: only {count} sprites")
    return {"val": sprites[:val], "test": sprites[val:val + test],
            "train": sprites[val + test:]}


def draw(pixels, seed):
    """One picture [SIDE, SIDE, 3] uint8 of one premultiplied sprite."""
    rng = torch.Generator().manual_seed(seed)
    words = random.Random(seed)
    x = pixels[None].float() / 255
    where = augment.placements(1, 0.8, torch.tensor([False]), rng)
    x = F.grid_sample(x, F.affine_grid(where, list(x.shape),
                                       align_corners=False),
                      align_corners=False)
    ground = augment.background(words.choice(GROUNDS),
                                words.choice(list(augment.COLOURS)),
                                SIDE, rng)
    out = x[0, :3] + (1 - x[0, 3:]) * ground
    out = out * (0.85 + 0.3 * torch.rand(1, generator=rng))
    return (out.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def encode(picture, seed):
    """-> (suffix, bytes): WebP, JPEG and now and then PNG."""
    out = io.BytesIO()
    image = Image.fromarray(picture)
    if seed % 40 == 0:
        image.quantize(64).convert("RGB").save(out, "PNG", optimize=True)
        return "png", out.getvalue()
    if seed % 3 == 0:
        image.save(out, "JPEG", quality=70, optimize=True)
        return "jpg", out.getvalue()
    image.save(out, "WEBP", quality=70, method=6)
    return "webp", out.getvalue()


class Art:
    """Sprites by (concept slug, style)."""

    def __init__(self, work):
        listing = json.loads((work / "sprites/sprites.json").read_text())
        self.concepts = {c["id"]: c for c in listing["concepts"]}
        pixels = np.load(work / "sprites/sprites.npy", mmap_mode="r")
        self.rows = {(self.concepts[c]["slug"], s): i
                     for i, (c, s) in enumerate(listing["rows"])}
        self.pixels = pixels
        self.by_slug = {c["slug"]: c for c in listing["concepts"]}

    def concepts_of(self, words):
        """Slugs of concepts; "@name" stands for a whole subgroup."""
        slugs = []
        for word in words:
            found = ([c["slug"] for c in self.by_slug.values()
                      if c["subgroup"] == word[1:]] if word[0] == "@"
                     else [word] if word in self.by_slug else [])
            if not found:
                raise SystemExit(f"no concept {word}")
            slugs += found
        return slugs

    def sprite(self, concept, style):
        return augment.premultiply(
            self.pixels[self.rows[concept, style]][None], SIDE)[0]


def build(task, spec, art, out):
    """Writes one task's images; returns its card."""
    deals = {}
    for name, words in spec["classes"].items():
        sprites = [(c, s) for c in art.concepts_of(words)
                   for s in spec["styles"] if (c, s) in art.rows]
        random.Random(seed_of("sample", task, name)).shuffle(sprites)
        deals[name] = deal(sprites[:spec.get("sprites_per_class")],
                           f"{task}/{name}")
    card = {"task": task, "about": spec["about"], "image_side": SIDE,
            "classes": len(deals), "splits": {}}
    if "note" in spec:
        card["note"] = spec["note"]
    for split, wanted in WANTED.items():
        images, every = 0, []
        for name, dealt in deals.items():
            folder = out / task / split / name
            folder.mkdir(parents=True)
            sprites = dealt[split]
            every += sprites
            for place, (concept, style) in enumerate(sprites):
                pixels = art.sprite(concept, style)
                for n in range(max(1, (wanted + len(sprites) - 1 - place)
                                   // len(sprites))):
                    seed = seed_of(task, name, concept, style, str(n))
                    suffix, body = encode(draw(pixels, seed), seed)
                    path = folder / f"{concept}-{style}-{n}.{suffix}"
                    path.write_bytes(body)
                    images += 1
        card["splits"][split] = {
            "images": images, "sprites": len(every),
            "fewest_sprites_in_a_class": min(
                len(d[split]) for d in deals.values()),
            "share_unseen_style": share(
                every, lambda c, s: sources.STYLE_BY_NAME[s].role != "train"),
            "share_unseen_concept": share(
                every, lambda c, s: captions.held_out(art.by_slug[c])),
        }
    card["styles"] = [
        {"name": s, "seen_by_encoder":
            sources.STYLE_BY_NAME[s].role == "train",
         "licence": sources.STYLE_BY_NAME[s].licence,
         "credit": sources.STYLE_BY_NAME[s].credit}
        for s in spec["styles"]]
    return card


def share(sprites, test):
    return round(sum(test(c, s) for c, s in sprites) / len(sprites), 3)


def card_text(card):
    lines = [f"# Task: {card['task']}", "", card["about"],
             f"{card['classes']} classes, {card['image_side']} px images. A "
             "sprite is one concept drawn in one style; no sprite is in two "
             "splits.", "", *([card["note"], ""] if "note" in card else []),
             "| split | images | sprites | fewest sprites in a class | in "
             "styles the encoder never saw | of concepts it never saw |",
             "| --- | --- | --- | --- | --- | --- |"]
    for split, c in card["splits"].items():
        lines.append(
            f"| {split} | {c['images']} | {c['sprites']} | "
            f"{c['fewest_sprites_in_a_class']} | "
            f"{100 * c['share_unseen_style']:.0f} % | "
            f"{100 * c['share_unseen_concept']:.0f} % |")
    lines += ["", "| style | seen by the encoder | licence | credit |",
              "| --- | --- | --- | --- |"]
    lines += [f"| {s['name']} | {'yes' if s['seen_by_encoder'] else 'no'} | "
              f"{s['licence']} | {s['credit']} |" for s in card["styles"]]
    lines += ["", "The drawings were turned, scaled and put on generated "
              "backgrounds; that is the change made to them.", ""]
    return "\n".join(lines)


def main():
    torch.set_num_threads(1)
    work, out = Path(sys.argv[1]), Path(sys.argv[2])
    art = Art(work)
    for old in out.glob("*/card.json"):
        shutil.rmtree(old.parent)
    for task, spec in TASKS.items():
        card = build(task, spec, art, out)
        (out / task / "card.json").write_text(
            json.dumps(card, indent=2) + "\n")
        (out / task / "card.md").write_text(card_text(card))
        size = sum(p.stat().st_size for p in (out / task).rglob("*.*"))
        print(f"tasks: {task}, {card['classes']} classes, "
              f"{size / 1e6:.2f} MB, {card['splits']}")


if __name__ == "__main__":
    main()
