"""Checkpoints of two tiny random CLIPs, written by the libraries that write
them for users: torch.jit as OpenAI used it, torch.save, safetensors, and
transformers; and a few files that would run code when they are unpickled.

usage: make_checkpoint_goldens.py OUT_DIR

Needs transformers beside requirements.txt. OUT_DIR/vit and OUT_DIR/rn hold
the same tensors in each format, part of them in half precision, as OpenAI's
files do; OUT_DIR/evil are to be refused.
"""

import builtins
import json
import os
import shutil
import sys
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import save_file

import hugging_face
import reference

MERGES = 30
SIDE, CONTEXT, WIDTH, EMBED = 32, 16, 64, 32
VOCAB = 512 + MERGES + 2
TEXT_CFG = {"context_length": CONTEXT, "vocab_size": VOCAB, "width": WIDTH,
            "heads": 1, "layers": 1}
VISION_CFGS = {
    "vit": {"image_size": SIDE, "layers": 1, "width": WIDTH, "patch_size": 8},
    "rn": {"image_size": SIDE, "layers": [1, 2, 1, 1], "width": 2},
}
PREPROCESS_CFG = {"mean": [0.48145466, 0.4578275, 0.40821073],
                  "std": [0.26862954, 0.26130258, 0.27577711],
                  "interpolation": "bicubic", "resize_mode": "shortest"}
SCALARS = {"input_resolution": SIDE, "context_length": CONTEXT,
           "vocab_size": VOCAB}


def build(vision_cfg, seed):
    """open_clip's CLIP with every parameter and buffer random, part of it in
    half precision by open_clip's own function."""
    module = reference.import_open_clip().model
    model = module.CLIP(EMBED, dict(vision_cfg), dict(TEXT_CFG),
                        quick_gelu=True, cast_dtype=torch.float16).eval()
    reference.randomise(model, torch.Generator().manual_seed(seed))
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(7)
    module.convert_weights_to_fp16(model)
    model.token_embedding.half()
    return model


def save_as_openai(model, path):
    """A traced module with three sizes as buffers and no mask among them."""
    mask = model.attn_mask
    del model.attn_mask
    model.attn_mask = mask
    for name, value in SCALARS.items():
        if hasattr(model, name):
            delattr(model, name)
        model.register_buffer(name, torch.tensor(value))
    image = torch.ones(1, 3, SIDE, SIDE).half()
    text = torch.zeros(1, CONTEXT, dtype=torch.int)
    traced = torch.jit.trace_module(
        model, {"forward": (image, text), "encode_image": (image,)},
        check_trace=False)
    torch.jit.save(traced, path)
    # The reference's own loader takes it for OpenAI's.
    state = torch.jit.load(path).state_dict()
    reference.import_open_clip().model.build_model_from_openai_state_dict(state)


def save_as_training(state, path):
    """What open_clip's training writes, from a distributed run."""
    scale = torch.nn.Parameter(state["logit_scale"].clone())
    optimizer = torch.optim.AdamW([scale])
    scale.grad = torch.ones_like(scale)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = numpy.float64(1e-3)  # as its schedule
    torch.save({"epoch": 3, "name": "tiny", "optimizer": optimizer.state_dict(),
                "state_dict": {"module." + key: value
                               for key, value in state.items()}}, path)


def save_as_open_clip(state, vision_cfg, folder):
    folder.mkdir()
    save_file({key: value.contiguous() for key, value in state.items()},
              folder / reference.WEIGHTS, metadata={"format": "pt"})
    (folder / reference.CONFIG).write_text(json.dumps({
        "model_cfg": {"embed_dim": EMBED, "quick_gelu": True,
                      "vision_cfg": vision_cfg, "text_cfg": TEXT_CFG},
        "preprocess_cfg": PREPROCESS_CFG}, indent=2) + "\n")


def save_as_hugging_face(state, vision_cfg, folder, shard_size):
    model_cfg = {"embed_dim": EMBED, "quick_gelu": True,
                 "vision_cfg": vision_cfg, "text_cfg": TEXT_CFG}
    hugging_face.model(model_cfg, state).save_pretrained(
        folder, max_shard_size=shard_size)


def save_tokenizer(folder):
    """The files of CLIPTokenizer for the shortened merges."""
    merges = reference.clip_merges(MERGES)
    encoder = reference.tokenizer(merges).encoder
    words = list(encoder)
    words[-2:] = ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps(
        {word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + merges.split("\n", 1)[1], encoding="utf-8")
    transformers.CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


class Call:
    """Unpickles to function(*arguments)."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def save_evil(folder):
    folder.mkdir()
    state = {"logit_scale": torch.ones(())}
    marker = "touch /tmp/promptd-was-here"
    for name, value in {
            "system": Call(os.system, marker),
            "eval": Call(builtins.eval, "__import__('os').system('id')"),
            "open": Call(builtins.open, "/tmp/promptd-was-here", "w"),
            "getattr": Call(builtins.getattr, "text", "upper"),
            "torch_load": Call(torch.load, "other.pt"),
            "module": torch.nn.Linear(1, 1),
            "set": {1, 2},
            "complex": 1j}.items():
        torch.save({**state, "extra": value}, folder / f"{name}.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.ones(2), folder / "tensor.pt")
    torch.save({"a": torch.ones(2, dtype=torch.float64)}, folder / "double.pt")
    torch.save({"a": torch.eye(3).to_sparse()}, folder / "sparse.pt")
    torch.save({"a": torch.quantize_per_tensor(torch.ones(2), 1, 0,
                                               torch.qint8)},
               folder / "quantized.pt")
    for path in folder.iterdir():
        path.chmod(0o644)


def main(out):
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    for seed, (name, vision_cfg) in enumerate(VISION_CFGS.items()):
        folder = out / name
        folder.mkdir()
        model = build(vision_cfg, seed + 1)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        save_as_open_clip(state, vision_cfg, folder / "open_clip")
        if name == "vit":
            torch.save(state, folder / "state_dict.bin")
            save_as_hugging_face(state, vision_cfg, folder / "hf", "1GB")
            save_tokenizer(folder / "hf")
            save_as_hugging_face(state, vision_cfg, folder / "hf_sharded",
                                 "150KB")
        else:
            save_as_training(state, folder / "training.pt")
        save_as_openai(model, folder / "openai.pt")
    save_evil(out / "evil")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
