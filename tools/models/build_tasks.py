"""Draws the bundled tasks and writes what the benchmark is made of.

usage: build_tasks.py WORK_DIR models/tasks

Each class's sprites (concept x style) are dealt to train, val and test so
that no sprite is in two of them; a sprite is then drawn once or more, turned,
scaled and on different backgrounds. Writes the images, card.json and card.md
of every task, the targets of the domain generalisation benchmark (the source's
concepts in other styles, test only) and benchmark.json beside the folder.
Deterministic: the same sources give the same bytes.
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
import benchmark_specs
import sources
import task_cards
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


def deal_concepts(sprites, name, wanted):
    """As deal, but whole concepts: all drawings of one are in one split, of
    which as many are kept as images are wanted."""
    dealt = deal({concept for concept, _ in sprites}, name)
    out = {}
    for split, concepts in dealt.items():
        own = sorted(s for s in sprites if s[0] in concepts)
        random.Random(seed_of(name, split)).shuffle(own)
        out[split] = own[:wanted[split]]
    return out


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


def encode(picture, seed, quality):
    """-> (suffix, bytes): WebP, JPEG and now and then PNG."""
    out = io.BytesIO()
    image = Image.fromarray(picture)
    if seed % 40 == 0:
        image.quantize(64).convert("RGB").save(out, "PNG", optimize=True)
        return "png", out.getvalue()
    if seed % 3 == 0:
        image.save(out, "JPEG", quality=quality, optimize=True)
        return "jpg", out.getvalue()
    image.save(out, "WEBP", quality=quality, method=6)
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
                      if c["subgroup"] == word[1:]
                      and c["slug"] not in benchmark_specs.HOMONYMS]
                     if word[0] == "@"
                     else [word] if word in self.by_slug else [])
            if not found:
                raise SystemExit(f"no concept {word}")
            slugs += found
        return slugs

    def sprite(self, concept, style):
        return augment.premultiply(
            self.pixels[self.rows[concept, style]][None], SIDE)[0]


def sprites_of(words, styles, art):
    return [(c, s) for c in art.concepts_of(words) for s in styles
            if (c, s) in art.rows]


def deals_of(task, spec, art):
    """{class: {split: sprites}} of a task with all three splits."""
    deals = {}
    for name, words in spec["classes"].items():
        sprites = sprites_of(words, spec["styles"], art)
        if spec.get("disjoint_concepts"):
            deals[name] = deal_concepts(sprites, f"{task}/{name}", WANTED)
            continue
        random.Random(seed_of("sample", task, name)).shuffle(sprites)
        deals[name] = deal(sprites[:spec.get("sprites_per_class")],
                           f"{task}/{name}")
    return deals


def draw_split(task, split, deals, wanted, quality, art, out):
    """Writes one split's images; returns how many."""
    images = 0
    for name, dealt in deals.items():
        folder = out / task / split / name
        folder.mkdir(parents=True)
        sprites = dealt[split]
        for place, (concept, style) in enumerate(sprites):
            pixels = art.sprite(concept, style)
            for n in range(max(1, (wanted + len(sprites) - 1 - place)
                               // len(sprites))):
                seed = seed_of(task, name, concept, style, str(n))
                suffix, body = encode(draw(pixels, seed), seed, quality)
                path = folder / f"{concept}-{style}-{n}.{suffix}"
                path.write_bytes(body)
                images += 1
    return images


def build(task, spec, art, out):
    """Writes one task's images; returns its card."""
    deals = deals_of(task, spec, art)
    quality = 70 if task in TASKS else benchmark_specs.QUALITY
    splits = {split: draw_split(task, split, deals, wanted, quality, art, out)
              for split, wanted in WANTED.items()}
    return task_cards.card(task, spec, deals, splits, art, SIDE)


def build_target(style, art, out):
    """The source's concepts in another style, for testing only."""
    source, task = benchmark_specs.SOURCE, f"styles-{style}"
    deals = {}
    for name, words in source["classes"].items():
        sprites = sprites_of(words, [style], art)
        if len(sprites) < 3:
            raise SystemExit(f"{task}/{name}: only {len(sprites)} sprites")
        deals[name] = {"test": sprites}
    spec = {**source, "styles": [style],
            "about": "The concepts of the task `styles` in another style: a "
                     "target of the domain generalisation benchmark."}
    images = draw_split(task, "test", deals, benchmark_specs.TARGET_WANTED,
                        benchmark_specs.QUALITY, art, out)
    return task_cards.card(task, spec, deals, {"test": images}, art, SIDE)


def main():
    torch.set_num_threads(1)
    work, out = Path(sys.argv[1]), Path(sys.argv[2])
    art = Art(work)
    for old in out.glob("*/card.json"):
        shutil.rmtree(old.parent)
    specs = {**TASKS, **benchmark_specs.MORE_TASKS,
             "styles": benchmark_specs.SOURCE}
    cards = {task: build(task, spec, art, out) for task, spec in specs.items()}
    for style in benchmark_specs.TARGET_STYLES:
        cards[f"styles-{style}"] = build_target(style, art, out)
    for task, card in cards.items():
        (out / task / "card.json").write_text(
            json.dumps(card, indent=2) + "\n")
        (out / task / "card.md").write_text(task_cards.text(card))
        size = sum(p.stat().st_size for p in (out / task).rglob("*.*"))
        print(f"tasks: {task}, {card['classes']} classes, "
              f"{size / 1e6:.2f} MB, {card['splits']}")
    (out.parent / "benchmark.json").write_text(
        json.dumps(task_cards.benchmark(cards, out), indent=2) + "\n")


if __name__ == "__main__":
    main()
