"""Writes images and what Pillow 13.0.0 makes of them.

usage: datasets_images.py [OUT SEED COUNT]

OUT is tests/golden/datasets/images by default: some chosen cases and a small
image of every kind of image_corpus.py. Otherwise COUNT images of the corpus.
Pillow's version counts: 16-bit grey saturates at level 255 in this one.

For every image index.json holds its size and the SHA-256 of its RGB pixels as
Pillow decodes them, of the resized and centre-cropped pixels (torchvision's
rule, Pillow's BICUBIC) and of the float tensor. Beside it lie, for the lossy
formats, the decoded pixels, and of the chosen cases the crop, so that a
difference can be shown.
"""

import hashlib
import io
import json
import pathlib
import shutil
import sys

import numpy as np
import PIL
from PIL import Image

import image_corpus

PILLOW = "13.0.0"
OUT = pathlib.Path(__file__).parents[2] / "tests/golden/datasets/images"
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
rng = np.random.default_rng(20261123)


def picture(width, height, channels=3, noise=40):
    """Gradients, a hard edge and seeded noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        plane = 255 * ((c + 1) * x / max(width, 2) + y / max(height, 2)) % 256
        plane = np.where((x // 9 + y // 7 + c) % 5 == 0, 255 - plane, plane)
        planes.append(plane + rng.normal(0, noise, (height, width)))
    pixels = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def noise(width, height):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def resized_size(width, height, size):
    """torchvision's Resize(size) for the shorter side."""
    short, long = min(width, height), max(width, height)
    longer = int(size * long / short)
    return (size, longer) if width <= height else (longer, size)


def center_crop(image, size):
    """torchvision's CenterCrop for an image at least that large."""
    left = int(round((image.width - size) / 2.0))
    top = int(round((image.height - size) / 2.0))
    return image.crop((left, top, left + size, top + size))


def cases():
    """(name, PIL image, save options, crop size)."""
    png = {"format": "PNG"}
    for width, height, size in (
            (1, 1, 16), (1, 97, 16), (97, 1, 16), (2, 3, 32), (31, 31, 32),
            (32, 32, 32), (33, 32, 32), (32, 33, 32), (37, 53, 32),
            (53, 37, 32), (64, 48, 32), (48, 64, 64), (101, 67, 33),
            (67, 100, 7), (5, 211, 16), (211, 5, 16), (90, 90, 1),
            (40, 30, 224), (120, 90, 48)):
        yield f"png_{width}x{height}_to_{size}", Image.fromarray(
            picture(width, height)), png, size
    yield "png_noise", Image.fromarray(noise(47, 41)), png, 24
    yield "png_noise_up", Image.fromarray(noise(11, 13)), png, 40
    checker = np.indices((40, 44)).sum(0) % 2 * 255
    yield "png_checker", Image.fromarray(
        np.stack([checker] * 3, -1).astype(np.uint8)), png, 17
    yield "png_wide", Image.fromarray(picture(700, 20, noise=0)), png, 32
    yield "png_large", Image.fromarray(picture(640, 480, noise=0)), png, 224
    yield "png_grey", Image.fromarray(picture(45, 39, 1)), png, 32
    yield "png_grey_alpha", Image.fromarray(picture(45, 39, 2), "LA"), png, 32
    yield "png_alpha", Image.fromarray(picture(45, 39, 4), "RGBA"), png, 32
    yield "png_palette", Image.fromarray(picture(45, 39)).quantize(64), png, 32
    yield "png_palette_transparent", Image.fromarray(
        picture(45, 39)).quantize(16), png | {"transparency": 3}, 32
    yield "png_bilevel", Image.fromarray(picture(45, 39, 1)).convert(
        "1"), png, 32
    jpeg = {"format": "JPEG", "quality": 90}
    yield "jpeg_444", Image.fromarray(picture(83, 61)), jpeg | {
        "subsampling": 0}, 32
    yield "jpeg_422", Image.fromarray(picture(83, 61)), jpeg | {
        "subsampling": 1}, 32
    yield "jpeg_420", Image.fromarray(picture(83, 61)), jpeg | {
        "subsampling": 2}, 32
    yield "jpeg_progressive", Image.fromarray(picture(83, 61)), jpeg | {
        "progressive": True}, 32
    yield "jpeg_low_quality", Image.fromarray(picture(83, 61)), jpeg | {
        "quality": 15}, 32
    yield "jpeg_restarts", Image.fromarray(picture(83, 61)), jpeg | {
        "restart_marker_rows": 1}, 32
    yield "jpeg_grey", Image.fromarray(picture(61, 83, 1)), jpeg, 32
    yield "jpeg_cmyk", Image.fromarray(picture(61, 83)).convert(
        "CMYK"), jpeg, 32
    rotated = Image.Exif()
    rotated[0x0112] = 6  # the camera was turned: CLIP's recipe ignores it
    yield "jpeg_exif_rotated", Image.fromarray(picture(83, 61)), jpeg | {
        "exif": rotated}, 32
    webp = {"format": "WEBP"}
    yield "webp_lossy", Image.fromarray(picture(83, 61)), webp | {
        "quality": 80}, 32
    yield "webp_lossless", Image.fromarray(picture(45, 39)), webp | {
        "lossless": True}, 32
    yield "webp_lossy_alpha", Image.fromarray(
        picture(45, 39, 4), "RGBA"), webp | {"quality": 80}, 32
    yield "webp_lossless_alpha", Image.fromarray(
        picture(45, 39, 4), "RGBA"), webp | {"lossless": True,
                                             "exact": True}, 32
    # About where Pillow 13 begins to shrink the height first.
    for width, height, size in ((20, 40, 10), (20, 41, 10), (40, 20, 10),
                                (37, 120, 17), (20, 200, 16)):
        yield f"png_{width}x{height}_to_{size}", Image.fromarray(
            picture(width, height)), png, size


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def encode(image, options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def write_case(out, file, encoded, size, with_crop):
    (out / file).write_bytes(encoded)
    rgb = Image.open(io.BytesIO(encoded)).convert("RGB")
    resized = rgb.resize(resized_size(rgb.width, rgb.height, size),
                         Image.Resampling.BICUBIC)
    crop = np.asarray(center_crop(resized, size))
    tensor = (crop.astype(np.float32) / np.float32(255) - MEAN) / STD
    decoded = np.asarray(rgb)
    stem = file.rsplit(".", 1)[0]
    entry = {
        "file": file, "width": rgb.width, "height": rgb.height, "size": size,
        "lossy": file.startswith(("jpeg", "webp_lossy", "lossy")),
        "decoded_sha256": digest(decoded), "crop_sha256": digest(crop),
        "tensor_sha256": digest(tensor.transpose(2, 0, 1)),
    }
    if entry["lossy"]:
        (out / f"{stem}.rgb").write_bytes(decoded.tobytes())
    if with_crop and crop.nbytes <= 16384:
        (out / f"{stem}.crop").write_bytes(crop.tobytes())
    return entry


def main(out, seed, count):
    if PIL.__version__ != PILLOW:
        raise SystemExit(f"this is Pillow {PIL.__version__}, not {PILLOW}")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    entries = []
    if count == 0:
        for name, image, options, size in cases():
            entries.append(write_case(
                out, f"{name}.{options['format'].lower()}",
                encode(image, options), size, with_crop=True))
        corpus = image_corpus.corpus(len(image_corpus.kinds()), seed, 24)
    else:
        corpus = image_corpus.corpus(count, seed)
    for file, encoded, size in corpus:
        entries.append(write_case(out, file, encoded, size, with_crop=False))
    index = {"pillow": PIL.__version__, "images": entries}
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    total = sum(f.stat().st_size for f in out.iterdir())
    print(f"{len(entries)} images, {total} bytes")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else OUT,
         int(sys.argv[2]) if len(sys.argv) > 2 else 1,
         int(sys.argv[3]) if len(sys.argv) > 3 else 0)
