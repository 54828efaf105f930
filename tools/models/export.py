"""Writes an encoder folder from a training run.

usage: export.py WORK_DIR/run models/embedded [architecture]

Writes open_clip_config.json, open_clip_model.safetensors (half precision but
for logit_scale; open_clip's key names) and merges.txt, then loads the folder
back strictly into open_clip's class and compares features with the
single-precision weights. The prose beside them is not touched.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import augment
import clip_model

LIMIT_BYTES = 25_000_000


def config(model_cfg):
    return {"model_cfg": model_cfg,
            "preprocess_cfg": {"mean": list(augment.MEAN),
                               "std": list(augment.STD),
                               "interpolation": "bicubic",
                               "resize_mode": "shortest"},
            "promptd": {"demonstration": True}}


def stored(state):
    """What is written: floats as half, logit_scale as float, no counters."""
    out = {}
    for key, value in state.items():
        if key.endswith("num_batches_tracked") or key == "attn_mask":
            continue
        kind = torch.float32 if key == "logit_scale" else torch.float16
        value = value.detach().to(kind).contiguous()
        if not torch.isfinite(value).all():
            raise ValueError(f"{key} does not fit half precision")
        out[key] = value
    return out


def load_encoder(folder):
    """(model in eval mode, float32, config, tokenizer) of a folder."""
    folder = Path(folder)
    cfg = json.loads((folder / "open_clip_config.json").read_text())
    model = clip_model.build(cfg["model_cfg"])
    state = load_file(folder / "open_clip_model.safetensors")
    for key, value in model.state_dict().items():
        if key.endswith("num_batches_tracked"):  # unused in eval mode
            state[key] = torch.zeros_like(value)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v
                           for k, v in state.items()}, strict=True)
    return model.eval(), cfg, clip_model.tokenizer(folder / "merges.txt")


@torch.no_grad()
def closeness(a, b):
    """Smallest cosine between two models' features on random input."""
    generator = torch.Generator().manual_seed(0)
    side = clip_model.IMAGE_SIDE
    images = torch.randn(8, 3, side, side, generator=generator)
    tokens = torch.randint(1, 4000, (8, 77), generator=generator)
    tokens[:, 20] = 512 + clip_model.MERGES + 1
    pairs = ((a.encode_image(images), b.encode_image(images)),
             (a.encode_text(tokens), b.encode_text(tokens)))
    return min(F.cosine_similarity(x, y).min().item() for x, y in pairs)


def main():
    run, out = Path(sys.argv[1]), Path(sys.argv[2])
    model_cfg = clip_model.ARCHITECTURES[
        sys.argv[3] if len(sys.argv) > 3 else "embedded"]
    out.mkdir(parents=True, exist_ok=True)
    state = torch.load(run / "ema.pt")
    exact = clip_model.build(model_cfg)
    exact.load_state_dict(state)
    (out / "open_clip_config.json").write_text(
        json.dumps(config(model_cfg), indent=2) + "\n")
    clip_model.write_merges(out / "merges.txt")
    save_file(stored(state), out / "open_clip_model.safetensors",
              metadata={"format": "pt"})
    (out / "open_clip_model.safetensors").chmod(0o644)
    size = (out / "open_clip_model.safetensors").stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"export: {size} bytes, over {LIMIT_BYTES}")
    again = load_encoder(out)[0]
    cosine = closeness(exact.eval(), again)
    count = sum(p.numel() for p in again.parameters())
    scale = again.logit_scale.exp().item()
    print(f"export: {out}, {size} bytes, {count} parameters, "
          f"exp(logit_scale) {scale:.3f}, cosine to float32 {cosine:.6f}")
    if cosine < 0.9995:
        raise SystemExit("export: half precision changes the features")


if __name__ == "__main__":
    main()
