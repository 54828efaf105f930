"""Random CLIPs as encoder folders, and the features that open_clip gives of
them, and for vision transformers transformers too.

usage: make_random_goldens.py OUT_DIR [SEED] [NAME...]

Writes, for every NAME in lower case, OUT_DIR/NAME/ (configuration, weights,
merges) and OUT_DIR/NAME.safetensors (pixels, token ids, features). Every
parameter and buffer is random. NAME is one of the two small ones, "tiny"
(modified ResNet) and "tiny_vit" (the default: both), or an architecture of the
CoOp paper or beyond: RN50 RN101 ViT-B-32 ViT-B-16 ViT-L-14 (0.4 to 1.7 GB
each).
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import hugging_face
import reference

MERGES = 200
CLIP_MERGES = 48894
SMALL_TEXT = {"context_length": 77, "vocab_size": 512 + MERGES + 2,
              "width": 64, "heads": 4, "layers": 2}
SMALL = {
    "tiny": {
        "embed_dim": 48, "quick_gelu": False, "text_cfg": SMALL_TEXT,
        "vision_cfg": {"layers": [1, 2, 1, 1], "width": 6, "image_size": 96,
                       "head_width": 32}},
    "tiny_vit": {
        "embed_dim": 48, "quick_gelu": True, "text_cfg": SMALL_TEXT,
        "vision_cfg": {"layers": 3, "width": 64, "image_size": 96,
                       "patch_size": 16, "head_width": 32}},
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


def configuration(name):
    """(model_cfg, merges) of a NAME; the paper's models have QuickGELU."""
    if name in SMALL:
        return SMALL[name], MERGES
    package = Path(reference.import_open_clip().__file__).parent
    cfg = json.loads((package / f"model_configs/{name}.json").read_text())
    return dict(cfg, quick_gelu=True), CLIP_MERGES


def blocks(side, generator):
    """Four images of coloured blocks, of growing contrast, with noise."""
    coarse = torch.randn(4, 3, 4, 4, generator=generator)
    coarse *= torch.tensor([0.5, 1.0, 2.0, 3.0]).view(4, 1, 1, 1)
    noise = torch.randn(4, 3, side, side, generator=generator)
    return F.interpolate(coarse, size=side, mode="nearest") + 0.3 * noise


@torch.no_grad()
def smallest_cosine(model, pixels):
    """Random weights that see no difference between images test nothing."""
    features = F.normalize(model.encode_image(pixels), dim=-1)
    return (features @ features.T).min().item()


def write(name, out, generator):
    model_cfg, merges = configuration(name)
    folder = out / name.lower()  # as promptd wants an encoder's name
    folder.mkdir(parents=True, exist_ok=True)
    model = reference.build(model_cfg)
    pixels = blocks(model_cfg["vision_cfg"]["image_size"], generator)
    reference.randomise(model, generator)
    while smallest_cosine(model, pixels) > 0.85:
        reference.randomise(model, generator)
    state = {}
    for key, value in model.state_dict().items():
        value = value.clone().contiguous()
        state[key] = value.to(STORED_AS.get(key, value.dtype))
    save_file(state, folder / reference.WEIGHTS, metadata={"format": "pt"})
    (folder / reference.WEIGHTS).chmod(0o644)
    (folder / reference.CONFIG).write_text(json.dumps(
        {"model_cfg": model_cfg, "preprocess_cfg": PREPROCESS_CFG}, indent=2)
        + "\n")
    (folder / reference.MERGES).write_text(reference.clip_merges(merges),
                                           encoding="utf-8")

    model, _, text = reference.load_folder(folder)
    with reference.without_ftfy():
        token_ids = reference.tokenizer(text)(TEXTS)
    # A row that is full, and ids that no text gives.
    rows = torch.randint(1, 512 + merges, (2, 77), generator=generator)
    rows[0, -1] = rows[1, 40] = 512 + merges + 1
    token_ids = torch.cat([token_ids, rows])
    answers = reference.features(model, pixels, token_ids)
    if isinstance(model_cfg["vision_cfg"]["layers"], int):  # a transformer
        answers.update(hugging_face.features(
            hugging_face.model(model_cfg, model.state_dict()), pixels,
            token_ids))
    reference.save_features(out / f"{name.lower()}.safetensors", folder,
                            answers, TEXTS)


def main(out, seed, names):
    for name in names:
        write(name, out, torch.Generator().manual_seed(seed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1,
         sys.argv[3:] or list(SMALL))
