"""Writes tests/golden/datasets/views.json: random views of images, by
torchvision and Pillow 13.0.0.

usage: datasets_views.py [OUT]

Needs torchvision beside the packages of requirements.txt (`pip install
--no-deps torchvision==0.28.0`; its compiled operators are not used). The boxes
are those of RandomResizedCrop.get_params itself, with the draws of
datasets/random_view.h in the place of torch's; the pixels are those of its
resized_crop and hflip on a PIL image.
"""

import hashlib
import json
import pathlib
import sys
import types
from unittest import mock

import numpy as np
import PIL
import torch
from PIL import Image

from portable_random import Random

# Built for another torch, its operators cannot be described; none is called.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("unused")
from torchvision.transforms import InterpolationMode, RandomResizedCrop  # noqa
from torchvision.transforms import functional as F  # noqa: E402

OUT = pathlib.Path(__file__).parents[2] / "tests/golden/datasets"
SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
VIEWS = 12
# (width, height): usual shapes, strips that no crop fits into, tiny ones.
SIZES = ((500, 375), (375, 500), (224, 224), (32, 32), (640, 97), (97, 640),
         (300, 10), (10, 300), (1, 1), (1, 9), (9, 1), (2, 3), (4096, 3000))
IMAGES = ("png_101x67_to_33.png", "png_48x64_to_64.png", "png_noise.png",
          "png_wide.png", "png_20x200_to_16.png", "webp_lossless.webp")
SIDES = (16, 33, 80)


def generator(digest, view):
    text = f"promptd view 1\n{digest}\n{view}\n"
    return Random(int(hashlib.sha256(text.encode()).hexdigest()[:16], 16))


def draw(digest, view, width, height):
    """(left, top, width, height, flip), torchvision's code on our draws."""
    random = generator(digest, view)

    def uniform(_, low, high):
        value = low + (high - low) * random.uniform()
        return torch.tensor([value], dtype=torch.float64)

    def randint(low, high, size):
        return torch.tensor([low + random.below(high - low)])

    image = Image.new("RGB", (width, height))
    with mock.patch.object(torch.Tensor, "uniform_", uniform), \
         mock.patch.object(torch, "randint", randint):
        top, left, h, w = RandomResizedCrop.get_params(image, SCALE, RATIO)
    return left, top, w, h, random.uniform() < 0.5


def pixels(path, size, view):
    encoded = path.read_bytes()
    image = Image.open(path).convert("RGB")
    digest = hashlib.sha256(encoded).hexdigest()
    left, top, w, h, flip = draw(digest, view, image.width, image.height)
    out = F.resized_crop(image, top, left, h, w, [size, size],
                         InterpolationMode.BICUBIC)
    if flip:
        out = F.hflip(out)
    rgb = np.ascontiguousarray(np.asarray(out))
    return {"file": path.name, "size": size, "view": view,
            "box": [left, top, w, h], "flip": flip,
            "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}


def main(out):
    if PIL.__version__ != "13.0.0":
        raise SystemExit(f"this is Pillow {PIL.__version__}, not 13.0.0")
    draws = []
    for width, height in SIZES:
        digest = hashlib.sha256(f"{width}x{height}".encode()).hexdigest()
        for view in range(VIEWS):
            left, top, w, h, flip = draw(digest, view, width, height)
            draws.append({"digest": digest, "view": view, "width": width,
                          "height": height, "box": [left, top, w, h],
                          "flip": flip})
    rendered = [pixels(OUT / "images" / name, size, view)
                for name in IMAGES for size in SIDES for view in range(4)]
    golden = {"pillow": PIL.__version__, "draws": draws, "rendered": rendered}
    (out / "views.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{len(draws)} boxes, {len(rendered)} rendered views")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
