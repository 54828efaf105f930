"""The embedded encoders: open_clip's CLIP class, small, and its tokenizer."""

import gzip
import sys
import unittest.mock
from pathlib import Path

import torch
import torch.nn.functional as F

MERGES = 4096
EMBED_DIM = 256
IMAGE_SIDE = 64


def _config(**vision):
    """All share the features' size, the image's side and the text tower."""
    return {
        "embed_dim": EMBED_DIM,
        "quick_gelu": True,
        "vision_cfg": {**vision, "image_size": IMAGE_SIDE, "head_width": 64},
        "text_cfg": {"context_length": 77, "vocab_size": 512 + MERGES + 2,
                     "width": 192, "heads": 3, "layers": 4},
    }


ARCHITECTURES = {
    "embedded": _config(layers=[2, 2, 2, 1], width=24),
    "rn-small": _config(layers=[1, 1, 1, 1], width=20),
    "vit": _config(layers=6, width=192, patch_size=16),
}
MODEL_CFG = ARCHITECTURES["embedded"]


def import_open_clip():
    """open_clip without torchvision: only its transforms want it."""
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


def write_merges(path):
    """CLIP's merges file, cut after the header and the first MERGES pairs."""
    package = Path(import_open_clip().__file__).parent
    with gzip.open(package / "bpe_simple_vocab_16e6.txt.gz", "rt",
                   encoding="utf-8") as source:
        lines = source.read().split("\n")[:1 + MERGES]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def tokenizer(merges_path):
    """open_clip's SimpleTokenizer on a plain-text merges file. It wants a
    gzip file and takes every line, so it is given one."""
    packed = Path(merges_path).read_text(encoding="utf-8").rstrip("\n")
    temporary = Path(f"/tmp/merges-{abs(hash(packed))}.txt.gz")
    with gzip.open(temporary, "wt", encoding="utf-8") as out:
        out.write(packed)
    made = import_open_clip().tokenizer.SimpleTokenizer(
        bpe_path=str(temporary))
    temporary.unlink()
    if made.vocab_size != MODEL_CFG["text_cfg"]["vocab_size"]:
        raise ValueError(f"{merges_path}: vocabulary {made.vocab_size}")
    return made


def build(cfg=MODEL_CFG):
    cfg = {key: dict(value) if isinstance(value, dict) else value
           for key, value in cfg.items()}
    model = import_open_clip().model.CLIP(**cfg)
    return model.to(memory_format=torch.channels_last)


def _heads(t, count):
    return t.unflatten(-1, (count, -1)).transpose(1, 2)


def _attend(block, x, past, mask, rows=None):
    """One pre-LN residual block; past is (k, v) of a shared prefix or None.

    x is [B, L, D]. rows [B], if given, picks the one position of each caption
    whose output is wanted: queries and MLP then run there only. Returns the
    output ([B, L, D] or [B, 1, D]) and the block's own (k, v).
    """
    attn, heads = block.attn, block.attn.num_heads
    width = x.shape[-1]
    weight, bias = attn.in_proj_weight, attn.in_proj_bias
    normed = block.ln_1(x)
    k, v = (_heads(t, heads) for t in F.linear(
        normed, weight[width:], bias[width:]).chunk(2, -1))
    own = (k, v)
    if rows is not None:
        every = torch.arange(len(x))
        x, normed = x[every, rows][:, None], normed[every, rows][:, None]
        mask = mask[rows][:, None, None]
    q = _heads(F.linear(normed, weight[:width], bias[:width]), heads)
    if past is not None:
        times = len(x) // len(past[0])  # consecutive captions of a prefix
        k = torch.cat([past[0].repeat_interleave(times, 0), k], 2)
        v = torch.cat([past[1].repeat_interleave(times, 0), v], 2)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    x = x + attn.out_proj(y.transpose(1, 2).flatten(2))
    return x + block.mlp(block.ln_2(x)), own


def encode_after_prefix(model, prefix, tokens, eot):
    """Text features of captions that share their first positions.

    prefix [P, D]: embeddings of positions 0..P-1 (SOT and fillers or a learned
    context), without positional embedding; or [S, P, D], S prefixes, each for
    its B / S consecutive captions. tokens [B, L]: what follows.
    eot [B]: index of EOT in tokens. Equal to encode_text on the joined
    sequence, because the mask is causal. Returns [B, E], not normalised.
    """
    n, length = prefix.shape[-2], tokens.shape[1]
    place = model.positional_embedding
    head = prefix + place[:n]
    head = head[None] if head.ndim == 2 else head
    x = model.token_embedding(tokens) + place[n:n + length]
    whole = torch.ones(n + length, n + length, dtype=torch.bool).tril()
    blocks = model.transformer.resblocks
    for block in blocks:
        last = block is blocks[-1]
        head, past = _attend(block, head, None, whole[:n, :n])
        x, _ = _attend(block, x, past, whole[n:], eot if last else None)
    return model.ln_final(x[:, 0]) @ model.text_projection


def pack(tokens_list, eot_id):
    """Token lists (each ends in EOT) -> ([B, L] padded with 0, eot [B])."""
    longest = max(map(len, tokens_list))
    out = torch.zeros(len(tokens_list), longest, dtype=torch.long)
    for row, tokens in enumerate(tokens_list):
        out[row, :len(tokens)] = torch.tensor(tokens)
    return out, torch.tensor([len(t) - 1 for t in tokens_list])
