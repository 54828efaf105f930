"""The tokens nearest to some vectors, by torch.cdist in float64.

usage: make_nearest_goldens.py OUT_DIR

Reads the random encoder OUT_DIR/tiny and writes OUT_DIR/nearest.json: vectors
as a context may have them (random, long, a token's own embedding, one step of
float32 away from it, zeros), and for each its length and its nearest tokens
with distances, ties by the lower id.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

TOP_K = 7


def vectors(embedding):
    generator = torch.Generator().manual_seed(5)
    width = embedding.shape[1]
    spread = embedding.std()
    rows = [0.02 * torch.randn(width, generator=generator) for _ in range(3)]
    rows += [spread * torch.randn(width, generator=generator)
             for _ in range(4)]
    rows += [1000 * spread * torch.randn(width, generator=generator)
             for _ in range(3)]
    rows += [embedding[token].clone() for token in (0, 320, len(embedding) - 2)]
    near = embedding[77].clone()
    near[3] = torch.nextafter(near[3], torch.tensor(torch.inf))
    between = (embedding[10].double() + embedding[11].double()) / 2
    return torch.stack(rows + [near, between.float(), torch.zeros(width)])


def main():
    out = Path(sys.argv[1])
    weights = load_file(out / "tiny" / "open_clip_model.safetensors")
    embedding = weights["token_embedding.weight"].float()
    rows = vectors(embedding)
    distances = torch.cdist(rows.double(), embedding.double(),
                            compute_mode="donot_use_mm_for_euclid_dist")
    near, ids = distances.sort(dim=1, stable=True)
    (out / "nearest.json").write_text(json.dumps({
        "vectors": rows.double().tolist(),
        "norms": rows.double().norm(dim=1).tolist(),
        "ids": ids[:, :TOP_K].tolist(),
        "distances": near[:, :TOP_K].tolist()}) + "\n")


if __name__ == "__main__":
    main()
