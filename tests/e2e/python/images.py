"""Small datasets and hostile images, all made here."""
import hashlib
import io
import struct
import zlib

import numpy
from PIL import Image, ImageDraw

CLASSES = ["red disc", "green square", "blue stripes"]
TRAIN, TEST = 1, 3  # promptd.v1.Split


def picture(kind, rng):
    """A 96 x 96 image of one class on a noisy ground."""
    ground = rng.integers(0, 90, size=(96, 96, 3), dtype=numpy.uint8)
    image = Image.fromarray(ground, "RGB")
    draw = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(8, 40, size=2))
    size = int(rng.integers(28, 48))
    box = (x, y, x + size, y + size)
    shade = int(rng.integers(170, 256))
    if kind == 0:
        draw.ellipse(box, fill=(shade, 20, 20))
    elif kind == 1:
        draw.rectangle(box, fill=(20, shade, 20))
    else:
        for left in range(x, x + size, 8):
            draw.rectangle((left, y, left + 3, y + size),
                           fill=(20, 20, shade))
    return image


def encode(image, kind="PNG"):
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def tiny_dataset(train=8, test=4, seed=1):
    """[(path, bytes, class index, split)] in order, every image distinct."""
    rng = numpy.random.default_rng(seed)
    items = []
    for split, name, count in ((TRAIN, "train", train), (TEST, "test", test)):
        for index, label in enumerate(CLASSES):
            for i in range(count):
                path = f"{name}/{label.replace(' ', '_')}/{i}.png"
                items.append((path, encode(picture(index, rng)), index,
                              split))
    return items


def write_folder(folder, items):
    for path, data, _, _ in items:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def png_header(width, height):
    """A PNG that claims a size and holds almost nothing."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body +
                struct.pack(">I", zlib.crc32(kind + body)))
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0,
                                       0)) +
            chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b""))


def hostile_images():
    """name: (bytes, the reasons that promptd may answer with).

    All of them show in the header or the length: no pixel is needed.
    """
    rng = numpy.random.default_rng(7)
    jpeg = encode(picture(0, rng), "JPEG")
    return {
        "text": (b"this is no image at all", {"IMAGE_UNKNOWN_FORMAT"}),
        "truncated JPEG": (jpeg[:len(jpeg) // 2], {"IMAGE_TRUNCATED"}),
        "huge PNG header": (png_header(20000, 20000), {"IMAGE_TOO_LARGE"}),
        "no bytes": (b"", {"IMAGE_EMPTY"}),
        "one-pixel GIF": (encode(Image.new("RGB", (1, 1)), "GIF"),
                          {"IMAGE_UNKNOWN_FORMAT"}),
    }


def damaged_png():
    """Complete, with a good header, and broken inside the pixels."""
    data = bytearray(encode(picture(1, numpy.random.default_rng(8))))
    middle = len(data) // 2
    data[middle:middle + 64] = b"\xff" * 64
    return bytes(data)
