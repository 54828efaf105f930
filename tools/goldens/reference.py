"""open_clip as the reference: its CLIP class, its tokenizer, random weights."""

import contextlib
import gzip
import hashlib
import json
import os
import sys
import tempfile
import unittest.mock
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
MERGES = "merges.txt"


def import_open_clip():
    """open_clip without torchvision: only its transforms want it.
    transformers, which open_clip loads where it is there, comes first: it looks
    for the true torchvision."""
    with contextlib.suppress(ImportError):
        import transformers  # noqa: F401
    try:
        import torchvision  # noqa: F401
    except Exception:
        for name in ("torchvision", "torchvision.ops",
                     "torchvision.ops.misc", "torchvision.transforms",
                     "torchvision.transforms.functional"):
            sys.modules[name] = unittest.mock.MagicMock(name=name)
    import open_clip
    import open_clip.model
    import open_clip.tokenizer
    return open_clip


def build(model_cfg):
    """open_clip's CLIP of a configuration, float32, in evaluation mode."""
    cfg = {key: dict(value) if isinstance(value, dict) else value
           for key, value in model_cfg.items()}
    return import_open_clip().model.CLIP(**cfg).float().eval()


@contextlib.contextmanager
def without_ftfy():
    """The tokenizer's repair of wrongly decoded text is not compared."""
    module = import_open_clip().tokenizer
    with unittest.mock.patch.object(module.ftfy, "fix_text", lambda text: text):
        yield


def tokenizer(merges_text):
    """SimpleTokenizer on a merges file; it wants gzip, no empty last line."""
    handle, path = tempfile.mkstemp(suffix=".txt.gz")
    os.close(handle)
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.write(merges_text.rstrip("\n"))
    made = import_open_clip().tokenizer.SimpleTokenizer(bpe_path=path)
    os.unlink(path)
    return made


def clip_merges(count):
    """CLIP's merges file, cut after `count` pairs."""
    package = Path(import_open_clip().__file__).parent
    with gzip.open(package / "bpe_simple_vocab_16e6.txt.gz", "rt",
                   encoding="utf-8") as source:
        return "\n".join(source.read().split("\n")[:1 + count]) + "\n"


def load_folder(folder):
    """(model, configuration, merges text) of an encoder folder; strict."""
    folder = Path(folder)
    cfg = json.loads((folder / CONFIG).read_text())
    model = build(cfg["model_cfg"])
    state = {key: value.float()
             for key, value in load_file(folder / WEIGHTS).items()}
    for key, value in model.state_dict().items():
        if key.endswith("num_batches_tracked"):  # unused in evaluation
            state[key] = torch.zeros_like(value)
    model.load_state_dict(state, strict=True)
    return model, cfg, (folder / MERGES).read_text(encoding="utf-8")


def randomise(model, generator):
    """Every parameter and buffer gets a value that changes the result. As in
    trained models, branches add little to a ResNet's sum, rectifiers cut more
    than half, and attention does not pick one place alone: otherwise rounding
    grows from layer to layer, and low precisions could not be compared."""
    def normal(shape, scale, mean=0.0):
        return torch.randn(shape, generator=generator) * scale + mean

    blocks = sum(name.endswith("conv3.weight") and "layer" in name
                 for name in model.state_dict())
    branch = blocks ** -0.5 if blocks else 1.0
    factors = {".bn3.weight": branch, ".bn3.bias": branch,
               "downsample.1.weight": 0.7, "q_proj.weight": 0.85}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name == "logit_scale":
            new = torch.tensor(2.7)
        elif name.endswith("running_var"):
            new = 0.5 + torch.rand(value.shape, generator=generator)
        elif value.dim() == 1 and name.endswith("weight"):  # norms
            new = normal(value.shape, 0.3, 1.0)
        elif name.endswith(("bn1.bias", "bn2.bias")):
            new = normal(value.shape, 0.2, -0.3)
        elif value.dim() == 1:  # biases and running means
            new = normal(value.shape, 0.2)
        elif name.endswith("embedding") or "token_embedding" in name:
            new = normal(value.shape, 0.5)
        else:  # images must stay apart through the rectified layers
            gain = 1.5 if name.startswith("visual.") else 1.0
            new = normal(value.shape, gain * value[0].numel() ** -0.5)
        for end, factor in factors.items():
            if name.endswith(end) and name.startswith("visual."):
                new = new * factor
        value.copy_(new)


@torch.no_grad()
def features(model, pixels, token_ids):
    """What the C++ is compared with."""
    return {"pixels": pixels, "token_ids": token_ids,
            "image_features": model.encode_image(pixels),
            "text_features": model.encode_text(token_ids),
            "logit_scale_exp": model.logit_scale.exp()}


def save_features(path, folder, tensors, texts):
    """Writes what features() gave; the test refuses it for other weights."""
    weights = (Path(folder) / WEIGHTS).read_bytes()
    save_file({key: value.contiguous() for key, value in tensors.items()},
              path, metadata={"texts": json.dumps(texts), "weights_sha256":
                              hashlib.sha256(weights).hexdigest()})
    Path(path).chmod(0o644)
