"""256-way retrieval of an encoder folder: is an image's own label the nearest?

usage: retrieval.py WORK_DIR [ENCODER]

One line per kind of view: 1.0 is the full augmentation, 0.0 an upright sprite
on white. 256 concepts each (fewer where a set is smaller), chance 0.4 %.
"""

import sys
from pathlib import Path

import torch

import clip_model
import export
import pairs
import train

ROOT = Path(__file__).resolve().parents[2]


def main():
    work = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else (
        ROOT / "models/embedded")
    torch.set_num_threads(1)
    model = export.load_encoder(folder)[0]
    side = clip_model.IMAGE_SIDE
    source = pairs.Pairs(pairs.Sprites(work / "sprites", side), side, 1)
    words = train.TextSide(folder / "merges.txt", 1)
    for strength in (1.0, 0.5, 0.0):
        tests = train.retrieval_tests(source, strength)
        print(strength, {name: (len(test[1]), round(
            train.retrieval(model, words, *test), 1))
            for name, test in tests.items()}, flush=True)


if __name__ == "__main__":
    main()
