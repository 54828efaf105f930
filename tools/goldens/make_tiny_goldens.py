"""A tiny random CLIP as an encoder folder, and open_clip's features of it.

usage: make_tiny_goldens.py OUT_DIR [SEED]

Writes OUT_DIR/tiny/ (configuration, weights, merges) and
OUT_DIR/tiny.safetensors (pixels, token ids, features).
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import reference

MERGES = 200
SIDE = 96
MODEL_CFG = {
    "embed_dim": 48,
    "quick_gelu": False,
    "vision_cfg": {"layers": [1, 2, 1, 1], "width": 6, "image_size": SIDE,
                   "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 512 + MERGES + 2,
                 "width": 64, "heads": 4, "layers": 2},
}
PREPROCESS_CFG = {"mean": [0.48145466, 0.4578275, 0.40821073],
                  "std": [0.26862954, 0.26130258, 0.27577711],
                  "interpolation": "bicubic", "resize_mode": "shortest"}
# Other types, so that their widening is compared too.
STORED_AS = {"token_embedding.weight": torch.bfloat16,
             "visual.conv1.weight": torch.float16}
TEXTS = ["X", ".", "", "a photo of a cat.", "a photo of a dog.",
         "kite (bird of prey).", "X X X X a red apple.",
         "a drawing of two zebras beside a balloon, at night, in the snow.",
         "one two three four five six seven"]


def blocks(generator):
    """Four images of coloured blocks, of growing contrast, with noise."""
    coarse = torch.randn(4, 3, 4, 4, generator=generator)
    coarse *= torch.tensor([0.5, 1.0, 2.0, 3.0]).view(4, 1, 1, 1)
    noise = torch.randn(4, 3, SIDE, SIDE, generator=generator)
    return F.interpolate(coarse, size=SIDE, mode="nearest") + 0.3 * noise


@torch.no_grad()
def smallest_cosine(model, pixels):
    """Random weights that see no difference between images test nothing."""
    features = F.normalize(model.encode_image(pixels), dim=-1)
    return (features @ features.T).min().item()


def main(out, seed):
    generator = torch.Generator().manual_seed(seed)
    folder = out / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    model = reference.build(MODEL_CFG)
    pixels = blocks(generator)
    reference.randomise(model, generator)
    while smallest_cosine(model, pixels) > 0.85:
        reference.randomise(model, generator)
    state = {}
    for name, value in model.state_dict().items():
        value = value.clone().contiguous()
        state[name] = value.to(STORED_AS.get(name, value.dtype))
    save_file(state, folder / reference.WEIGHTS, metadata={"format": "pt"})
    (folder / reference.WEIGHTS).chmod(0o644)
    (folder / reference.CONFIG).write_text(json.dumps(
        {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}, indent=2)
        + "\n")
    (folder / reference.MERGES).write_text(reference.clip_merges(MERGES),
                                           encoding="utf-8")

    model, _, merges = reference.load_folder(folder)
    with reference.without_ftfy():
        token_ids = reference.tokenizer(merges)(TEXTS)
    # A row that is full, and ids that no text gives.
    rows = torch.randint(1, 512 + MERGES, (2, 77), generator=generator)
    rows[0, -1] = rows[1, 40] = 512 + MERGES + 1
    token_ids = torch.cat([token_ids, rows])
    reference.save_features(out / "tiny.safetensors", folder,
                            reference.features(model, pixels, token_ids),
                            TEXTS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
