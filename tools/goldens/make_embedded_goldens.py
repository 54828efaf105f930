"""open_clip's features of the embedded encoder.

usage: make_embedded_goldens.py MODELS_DIR OUT_DIR [SEED]

Loads MODELS_DIR/embedded strictly into open_clip's CLIP and writes
OUT_DIR/embedded.safetensors: pixels of a few drawings and of noise, token ids
of a few texts, and their features. Run again when the weights change.
"""

import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw

import reference

TEXTS = ["X", ".", "", "a photo of a cat.", "a photo of a dog.",
         "a drawing of a red apple.", "kite (bird of prey).",
         "X X X X X X X X X X X X X X X X flamingo.",
         "an emoji of a person riding a bicycle, with a cloudy background.",
         "zebra", "balloon", "ice cream"]


def drawing(side, generator):
    """A few coloured shapes on a plain background."""
    def number(low, high):
        return int(torch.randint(low, high, (1,), generator=generator))

    def colour():
        return tuple(number(0, 256) for _ in range(3))

    image = Image.new("RGB", (side, side), colour())
    draw = ImageDraw.Draw(image)
    for _ in range(number(2, 5)):
        left, top = number(0, side // 2), number(0, side // 2)
        box = [left, top, left + number(8, side), top + number(8, side)]
        [draw.rectangle, draw.ellipse][number(0, 2)](box, fill=colour())
    return image


def pixels_of(image, cfg):
    values = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    values = values.view(*image.size[::-1], 3).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(cfg["preprocess_cfg"][key]).view(3, 1, 1)
                 for key in ("mean", "std"))
    return (values - mean) / std


def main(models, out, seed):
    generator = torch.Generator().manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    model, cfg, merges = reference.load_folder(models / "embedded")
    side = cfg["model_cfg"]["vision_cfg"]["image_size"]
    pixels = torch.stack([pixels_of(drawing(side, generator), cfg)
                          for _ in range(5)]
                         + [torch.randn(3, side, side, generator=generator)])
    with reference.without_ftfy():
        token_ids = reference.tokenizer(merges)(TEXTS)
    reference.save_features(out / "embedded.safetensors",
                            models / "embedded",
                            reference.features(model, pixels, token_ids),
                            TEXTS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]),
         int(sys.argv[3]) if len(sys.argv) > 3 else 1)
