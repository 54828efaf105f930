"""Draws every sprite once, at 96 px RGBA, into one memory-mapped file.

usage: rasterise.py WORK_DIR     (reads WORK_DIR/npm, writes WORK_DIR/sprites)

Output: sprites.npy [N, 96, 96, 4] uint8 and sprites.json with the concepts and
one [concept id, style] pair a row. Skips all work when both exist.
"""

import io
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import sources

SIDE = 96


def draw(item):
    """One sprite as [96, 96, 4] uint8, or None when it cannot be drawn."""
    kind, body = item
    try:
        if kind == "svg":
            import resvg_py
            body = io.BytesIO(bytes(resvg_py.svg_to_bytes(
                svg_string=body, width=SIDE, height=SIDE)))
        image = Image.open(body).convert("RGBA")
    except Exception as error:  # a broken drawing is skipped, and counted
        print("skipped:", str(error)[:80], file=sys.stderr)
        return None
    if image.size != (SIDE, SIDE):
        scale = SIDE / max(image.size)
        size = [max(1, round(s * scale)) for s in image.size]
        fitted = image.resize(size, Image.BICUBIC)
        image = Image.new("RGBA", (SIDE, SIDE))
        image.paste(fitted, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    pixels = np.asarray(image)
    return pixels if (pixels[..., 3] > 32).mean() > 0.01 else None


def main():
    work = Path(sys.argv[1])
    out = work / "sprites"
    if (out / "sprites.json").exists():
        print(f"sprites: already in {out}")
        return
    concepts = sources.load_concepts(work / "npm")
    art = sources.find_art(work / "npm", concepts)
    rows = [(concept["id"], style.name) for style in sources.STYLES
            for concept in concepts if concept["id"] in art[style.name]]
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(2) as pool:
        drawn = list(pool.map(draw, [art[s][c] for c, s in rows],
                              chunksize=64))
    kept = [i for i, pixels in enumerate(drawn) if pixels is not None]
    np.save(out / "sprites.npy", np.stack([drawn[i] for i in kept]))
    rows = [rows[i] for i in kept]
    (out / "sprites.json").write_text(
        json.dumps({"concepts": concepts, "rows": rows}))
    for style in sources.STYLES:
        count = sum(s == style.name for _, s in rows)
        print(f"sprites: {style.name:11s} {count:5d}  {style.role}")


if __name__ == "__main__":
    main()
