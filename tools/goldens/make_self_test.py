"""The golden vectors of an encoder, computed by open_clip.

usage: make_self_test.py ENCODER_FOLDER

Writes ENCODER_FOLDER/self_test.safetensors ("promptd self-test 1"), which
promptd checks whenever it loads the encoder. The inputs are those of
clip/self_test.cc, made by formula. Run again when the weights change.
"""

import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import reference

FORMAT = "promptd self-test 1"
SQUARES = 8
TEXTS = ["a photo of a cat.",
         "a photo of a red bird and a blue boat on the water, " * 16,
         "cr\u00e8me br\u00fbl\u00e9e, Stra\u00dfe, \u00e5ngstr\u00f6m",
         ""]


def levels(seed):
    """0..255 without end: the upper byte of a linear congruential state."""
    state = seed
    while True:
        state = (state * 1664525 + 1013904223) % 2**32
        yield state >> 24


def image(cfg, seed, cell):
    """[3, S, S]: squares of `cell` pixels, normalised."""
    side = cfg["model_cfg"]["vision_cfg"]["image_size"]
    squares = -(-side // cell)
    source = levels(seed)
    grid = torch.tensor([next(source) for _ in range(3 * squares * squares)],
                        dtype=torch.uint8).view(3, squares, squares)
    pixels = grid.repeat_interleave(cell, 1).repeat_interleave(cell, 2)
    mean, std = (torch.tensor(cfg["preprocess_cfg"][key]).view(3, 1, 1)
                 for key in ("mean", "std"))
    return (pixels[:, :side, :side] / 255 - mean) / std


def encoder_digest(folder):
    """As weights/encoder_folder.cc."""
    lines = ["promptd encoder 1\n"]
    for name in (reference.MERGES, reference.CONFIG, reference.WEIGHTS):
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines.append(f"{name} {sha256}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def main(folder):
    open_clip = reference.import_open_clip()
    model, cfg, merges = reference.load_folder(folder)
    side = cfg["model_cfg"]["vision_cfg"]["image_size"]
    pixels = torch.stack([image(cfg, 1, 1),
                          image(cfg, 2, max(1, side // SQUARES))])
    token_ids = reference.tokenizer(merges)(
        TEXTS, cfg["model_cfg"]["text_cfg"].get("context_length", 77))
    features = reference.features(model, pixels, token_ids)
    tensors = {name: features[name].contiguous()
               for name in ("image_features", "text_features")}
    digest = encoder_digest(folder)
    origin = f"open_clip {open_clip.__version__}, float32"
    checksum = hashlib.sha256(f"{FORMAT}\n{digest}\n{origin}\n".encode())
    for name in sorted(tensors):
        checksum.update(tensors[name].numpy().tobytes())
    path = folder / "self_test.safetensors"
    save_file(tensors, path,
              metadata={"format": FORMAT, "encoder_digest": digest,
                        "origin": origin, "checksum": checksum.hexdigest()})
    path.chmod(0o644)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
