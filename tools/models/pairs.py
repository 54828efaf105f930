"""Batches of (view, caption) pairs for training and for retrieval tests."""

import json
import random
from pathlib import Path

import numpy as np
import torch

import augment
import captions
import sources

UNFLIPPED = ("arrow", "alphanum", "keycap", "country-flag", "subdivision-flag",
             "flag", "punctuation", "math", "currency", "av-symbol",
             "other-symbol", "transport-sign", "zodiac", "religion")


class Sprites:
    """Every sprite at the encoder's side, and its concept and style."""

    def __init__(self, folder, side):
        folder = Path(folder)
        listing = json.loads((folder / "sprites.json").read_text())
        self.concepts = {c["id"]: c for c in listing["concepts"]}
        self.rows = [tuple(row) for row in listing["rows"]]
        small = folder / f"premultiplied-{side}.pt"
        if not small.exists():
            torch.save(augment.premultiply(
                np.load(folder / "sprites.npy", mmap_mode="r"), side), small)
        self.pixels = torch.load(small)
        self.can_flip = torch.tensor([
            self.concepts[c]["subgroup"] not in UNFLIPPED
            for c, _ in self.rows])


class Pairs:
    """Draws training batches. Deterministic for a seed."""

    def __init__(self, sprites, side, seed):
        self.sprites = sprites
        self.words = random.Random(seed)
        self.noise = torch.Generator().manual_seed(seed)
        images, self.grounds = augment.background_bank(side, 8, self.noise)
        whites = [i for i, tag in enumerate(self.grounds)
                  if tag == ("plain", "white")]
        self.bank = (images, torch.tensor(whites))
        self.by_concept = {}
        for row, (concept, style) in enumerate(sprites.rows):
            trained = sources.STYLE_BY_NAME[style].role == "train"
            if trained and not captions.held_out(sprites.concepts[concept]):
                self.by_concept.setdefault(concept, []).append(row)
        self.ids = sorted(self.by_concept)
        self.index = {concept: i for i, concept in enumerate(self.ids)}
        self.weights = np.array([
            captions.GROUP_WEIGHT.get(sprites.concepts[c]["group"], 1.0)
            for c in self.ids])
        self.weights /= self.weights.sum()
        self.draws = np.random.default_rng(seed)

    def rows_of_batch(self, size, grouped):
        """Sprite rows: size * grouped of them in fours of one concept."""
        fours = int(size * grouped) // 4
        count = size - 3 * fours
        picked = self.draws.choice(len(self.ids), count, replace=False,
                                   p=self.weights)
        rows, contrast = [], []
        for position, concept in enumerate(picked):
            own = self.by_concept[self.ids[concept]]
            if position < fours:
                looks = [self.words.choice(own) for _ in range(4)]
                if len(own) >= 4:
                    looks = self.words.sample(own, 4)
                rows += looks
                contrast += [True] * 4
            else:
                rows.append(self.words.choice(own))
                contrast.append(False)
        return rows, contrast

    def views(self, rows, strength):
        rows = torch.tensor(rows)
        return augment.views(self.sprites.pixels[rows],
                             self.sprites.can_flip[rows], self.bank, strength,
                             self.noise)

    def batch(self, size, strength, grouped):
        """-> images [B, 3, S, S], captions, concept index [B]."""
        rows, contrast = self.rows_of_batch(size, grouped)
        images, grounds = self.views(rows, strength)
        texts, labels = [], []
        for row, ground, told in zip(rows, grounds.tolist(), contrast):
            concept, style = self.sprites.rows[row]
            texts.append(captions.caption(
                self.sprites.concepts[concept], style, self.grounds[ground],
                told, self.words))
            labels.append(self.index[concept])
        return images, texts, torch.tensor(labels)

    def retrieval_set(self, style_names, concept_ids, count, seed,
                      strength=1.0):
        """A fixed test: count concepts, one fresh view of each, as strongly
        augmented as asked: 1 is more than training ever does, 0 is an
        upright sprite on white.
        -> images, labels as text."""
        rng = random.Random(seed)
        wanted, have = set(concept_ids), {}
        for row, (concept, style) in enumerate(self.sprites.rows):
            if style in style_names and concept in wanted:
                have.setdefault(concept, []).append(row)
        chosen = rng.sample(sorted(have), min(count, len(have)))
        rows = torch.tensor([rng.choice(have[c]) for c in chosen])
        images, _ = augment.views(
            self.sprites.pixels[rows], self.sprites.can_flip[rows], self.bank,
            strength, torch.Generator().manual_seed(seed))
        return images, [self.sprites.concepts[c]["label"] for c in chosen]
