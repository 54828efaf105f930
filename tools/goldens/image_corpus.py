"""Encoded images of every kind that promptd takes, from one seeded generator:
what Pillow writes, and what it reads but does not write (PNG at every depth
and colour type, interlaced, with odd palettes; JPEG with other sampling, as
YCCK, without Adobe's marker).

corpus(count, seed) yields (name, bytes, crop size); each kind comes in turn.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
         (1, 0, 2, 2), (0, 1, 1, 2))  # first x, first y, step x, step y
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by PNG colour type


def picture(rng, width, height, channels=3, noise=40):
    """Gradients, hard edges and noise, [height, width, channels] bytes."""
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for c in range(channels):
        plane = 255 * ((c + 1) * x / max(width, 2) + y / max(height, 2)) % 256
        plane = np.where((x // 9 + y // 7 + c) % 5 == 0, 255 - plane, plane)
        planes.append(plane + rng.normal(0, noise, (height, width)))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def image(rng, width, height, mode="RGB"):
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    pixels = picture(rng, width, height, channels,
                     noise=int(rng.choice([0, 10, 40])))
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def saved(made, **options):
    buffer = io.BytesIO()
    made.save(buffer, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return (struct.pack(">I", len(body)) + kind + body
            + struct.pack(">I", zlib.crc32(kind + body)))


def packed_rows(samples, depth):
    """PNG's scanlines, filter 0, of [height, width, channels] samples."""
    out = b""
    for row in samples:
        flat = row.reshape(-1)
        if depth == 16:
            line = flat.astype(">u2").tobytes()
        elif depth == 8:
            line = flat.astype(np.uint8).tobytes()
        else:
            bits = (flat[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            line = np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()
        out += b"\0" + line
    return out


def png(samples, depth, colour_type, interlaced=False, chunks=b""):
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0,
                         int(interlaced))
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        body = b"".join(packed_rows(one, depth) for one in passes if one.size)
    else:
        body = packed_rows(samples, depth)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks
            + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b""))


def raw_png(rng, width, height, depth, colour_type):
    """Any depth and colour type; random palette, transparency, colour space."""
    channels = CHANNELS[colour_type]
    if depth == 16:
        high = picture(rng, width, height, channels).astype(np.uint32)
        samples = high << 8 | rng.integers(0, 256, high.shape, dtype=np.uint32)
        if rng.random() < 0.5:  # about where Pillow's 16-bit grey saturates
            samples >>= int(rng.choice([6, 8]))
    else:
        samples = picture(rng, width, height, channels) >> (8 - depth)
    chunks = b""
    if rng.random() < 0.2:
        chunks += chunk(b"gAMA", struct.pack(">I", 45455))
    if rng.random() < 0.2:
        chunks += chunk(b"sRGB", b"\0")
    if colour_type == 3:
        # Sometimes shorter than the indices reach.
        entries = int(rng.integers(1, 2 ** depth + 1))
        if rng.random() < 0.6:
            entries = 2 ** depth
        chunks += chunk(b"PLTE", rng.integers(0, 256, 3 * entries,
                                              dtype=np.uint8).tobytes())
        if rng.random() < 0.5:
            chunks += chunk(b"tRNS", rng.integers(
                0, 256, int(rng.integers(1, entries + 1)),
                dtype=np.uint8).tobytes())
    elif colour_type in (0, 2) and rng.random() < 0.3:
        chunks += chunk(b"tRNS", samples[0, 0].astype(">u2").tobytes())
    return png(samples, depth, colour_type, rng.random() < 0.3, chunks)


def segments(jpeg):
    """(start, end) of the marker segments before the first scan."""
    at = 2
    while jpeg[at + 1] != 0xda:
        end = at + 2 + struct.unpack(">H", jpeg[at + 2:at + 4])[0]
        yield at, end
        at = end


def without_adobe(jpeg):
    for start, end in segments(jpeg):
        if jpeg[start + 1] == 0xee:
            return jpeg[:start] + jpeg[end:]
    raise ValueError("no Adobe marker")


def with_adobe_transform(jpeg, transform):
    """0 is CMYK or RGB, 1 YCbCr, 2 YCCK: the same samples, read as others."""
    for start, end in segments(jpeg):
        if jpeg[start + 1] == 0xee:
            return jpeg[:end - 1] + bytes([transform]) + jpeg[end:]
    raise ValueError("no Adobe marker")


def with_sampling(jpeg, sampling):
    """Another shape of the same number of luminance blocks a unit."""
    for start, _ in segments(jpeg):
        if jpeg[start + 1] in (0xc0, 0xc1, 0xc2):
            at = start + 11
            return jpeg[:at] + bytes([sampling]) + jpeg[at + 1:]
    raise ValueError("no frame")


def jpeg_options(rng):
    options = {"format": "JPEG", "quality": int(rng.integers(5, 101)),
               "subsampling": int(rng.integers(0, 3))}
    if rng.random() < 0.3:
        options["progressive"] = True
    if rng.random() < 0.2:
        options["restart_marker_rows"] = 1
    if rng.random() < 0.2:
        options["optimize"] = True
    if rng.random() < 0.2:
        options["icc_profile"] = b"an ICC profile that nobody applies"
    if rng.random() < 0.3:
        turned = Image.Exif()
        turned[0x0112] = int(rng.integers(1, 9))
        options["exif"] = turned
    return options


def jpeg(mode):
    def make(rng, width, height):
        return saved(image(rng, width, height, mode), **jpeg_options(rng))
    return make


def jpeg_as_rgb(rng, width, height):
    return saved(image(rng, width, height), keep_rgb=True,
                 **jpeg_options(rng) | {"subsampling": 0})


def jpeg_no_adobe(rng, width, height):
    return without_adobe(jpeg("CMYK")(rng, width, height))


def jpeg_ycck(rng, width, height):
    return with_adobe_transform(jpeg("CMYK")(rng, width, height), 2)


def jpeg_other_sampling(rng, width, height):
    """4:4:0, 4:1:1 and upright 4:1:1; the sizes keep the number of units."""
    before, after = ((1, 0x12), (2, 0x41), (2, 0x14))[int(rng.integers(0, 3))]
    side = 32 * (1 + max(width, height) // 64)
    # No restart rows: they would count other units.
    return with_sampling(saved(
        image(rng, side, side), format="JPEG", subsampling=before,
        quality=int(rng.integers(30, 96)),
        progressive=bool(rng.random() < 0.3)), after)


def palette(rng, width, height):
    made = image(rng, width, height).quantize(int(rng.integers(2, 257)))
    options = {"transparency": 0} if rng.random() < 0.5 else {}
    return saved(made, format="PNG", **options)


def bilevel(rng, width, height):
    return saved(image(rng, width, height, "L").convert("1"), format="PNG")


def plain_png(mode):
    def make(rng, width, height):
        return saved(image(rng, width, height, mode), format="PNG")
    return make


def grey_16(rng, width, height):
    samples = picture(rng, width, height, 1)[..., 0].astype(np.uint16)
    return saved(Image.fromarray(samples * int(rng.choice([1, 2, 257]))),
                 format="PNG")


def animated_png(rng, width, height):
    frames = [image(rng, width, height) for _ in range(3)]
    return saved(frames[0], format="PNG", save_all=True,
                 append_images=frames[1:])


def webp(mode, lossless):
    def make(rng, width, height):
        return saved(image(rng, width, height, mode), format="WEBP",
                     lossless=lossless, exact=bool(rng.random() < 0.5),
                     quality=int(rng.integers(0, 101)),
                     method=int(rng.integers(0, 5)))
    return make


def kinds():
    """Name (the part before the dot) and format of each kind, and its maker;
    those whose name begins with "lossy" are compared within one level."""
    out = {
        "png_l": plain_png("L"), "png_la": plain_png("LA"),
        "png_rgb": plain_png("RGB"), "png_rgba": plain_png("RGBA"),
        "png_p": palette, "png_1": bilevel, "png_i16": grey_16,
        "png_animated": animated_png,
        "lossy_l.jpeg": jpeg("L"), "lossy_rgb.jpeg": jpeg("RGB"),
        "lossy_rgb2.jpeg": jpeg("RGB"), "lossy_cmyk.jpeg": jpeg("CMYK"),
        "lossy_cmyk_no_adobe.jpeg": jpeg_no_adobe,
        "lossy_ycck.jpeg": jpeg_ycck, "lossy_as_rgb.jpeg": jpeg_as_rgb,
        "lossy_sampling.jpeg": jpeg_other_sampling,
        "webp_rgb": webp("RGB", True), "webp_rgba": webp("RGBA", True),
        "lossy_rgb.webp": webp("RGB", False),
        "lossy_rgba.webp": webp("RGBA", False)}
    for colour_type, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)),
                                (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            out[f"png_type{colour_type}_depth{depth}"] = (
                lambda rng, width, height, d=depth, t=colour_type:
                raw_png(rng, width, height, d, t))
    return out


def sides(rng):
    """Odd sizes, strips, single pixels; most near 60."""
    shape = rng.random()
    if shape < 0.1:
        pair = (int(rng.integers(1, 4)), int(rng.integers(1, 300)))
        return pair if rng.random() < 0.5 else pair[::-1]
    top = 40 if shape < 0.5 else 160
    return int(rng.integers(1, top)), int(rng.integers(1, top))


def corpus(count, seed, largest=10000):
    """`count` images; crop sizes below and above the image's own."""
    makers = list(kinds().items())
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        kind, make = makers[index % len(makers)]
        width, height = (min(side, largest) for side in sides(rng))
        stem, _, suffix = kind.partition(".")
        suffix = suffix or stem.split("_")[0]
        size = int(rng.choice([1, 7, 16, 17, 32, 33, 48, 64, 97, 224],
                              p=[.05, .1, .1, .1, .2, .15, .1, .1, .05, .05]))
        yield (f"{stem}_{index}.{suffix}", make(rng, width, height),
               min(size, largest))
