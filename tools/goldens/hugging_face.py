"""transformers' CLIPModel with open_clip's weights: a second reference."""

import torch
import transformers

HEAD_WIDTH = 64  # open_clip's, where the configuration names none


def state_of(state):
    """open_clip's tensors under the names of CLIPModel."""
    renamed = {}

    def block(prefix, target):
        parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2",
                 "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
                 "attn.out_proj": "self_attn.out_proj"}
        for kind in ("weight", "bias"):
            for ours, theirs in parts.items():
                renamed[f"{target}.{theirs}.{kind}"] = \
                    state[f"{prefix}.{ours}.{kind}"]
            joined = state[f"{prefix}.attn.in_proj_{kind}"]
            for name, part in zip("qkv", joined.chunk(3)):
                renamed[f"{target}.self_attn.{name}_proj.{kind}"] = part

    for tower, target in (("", "text_model"), ("visual.", "vision_model")):
        prefix = f"{tower}transformer.resblocks"
        for layer in range(sum(key.startswith(prefix) and
                               key.endswith("in_proj_bias") for key in state)):
            block(f"{prefix}.{layer}", f"{target}.encoder.layers.{layer}")
    for ours, theirs in {
            "token_embedding": "text_model.embeddings.token_embedding",
            "ln_final": "text_model.final_layer_norm",
            "visual.ln_pre": "vision_model.pre_layrnorm",
            "visual.ln_post": "vision_model.post_layernorm",
            "visual.conv1": "vision_model.embeddings.patch_embedding"}.items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in state:
                renamed[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for ours, theirs in {
            "positional_embedding": "text_model.embeddings.position_embedding",
            "visual.positional_embedding":
                "vision_model.embeddings.position_embedding"}.items():
        renamed[theirs + ".weight"] = state[ours]
    renamed["vision_model.embeddings.class_embedding"] = \
        state["visual.class_embedding"]
    renamed["text_projection.weight"] = state["text_projection"].T
    renamed["visual_projection.weight"] = state["visual.proj"].T
    renamed["logit_scale"] = state["logit_scale"]
    return renamed


def tower(cfg, width, heads, layers):
    return {"hidden_size": width, "intermediate_size": 4 * width,
            "num_hidden_layers": layers, "num_attention_heads": heads,
            **cfg}


def model(model_cfg, state):
    """CLIPModel of an open_clip configuration with a vision transformer; its
    tensors keep the types that they have in `state`."""
    text, vision = model_cfg["text_cfg"], model_cfg["vision_cfg"]
    vocab, width = text["vocab_size"], vision["width"]
    config = transformers.CLIPConfig(
        projection_dim=model_cfg["embed_dim"],
        text_config=tower(
            {"vocab_size": vocab, "bos_token_id": vocab - 2,
             "eos_token_id": vocab - 1, "pad_token_id": vocab - 1,
             "max_position_embeddings": text["context_length"],
             "projection_dim": model_cfg["embed_dim"]},
            text["width"], text["heads"], text["layers"]),
        vision_config=tower(
            {"image_size": vision["image_size"],
             "patch_size": vision["patch_size"],
             "projection_dim": model_cfg["embed_dim"]},
            width, width // vision.get("head_width", HEAD_WIDTH),
            vision["layers"]))
    made = transformers.CLIPModel(config).eval()
    targets = dict(made.named_parameters())
    for name, value in state_of(state).items():
        assert targets[name].shape == value.shape, name
        targets.pop(name).data = value.contiguous().clone()
    assert not targets, targets
    return made


@torch.no_grad()
def features(model, pixels, token_ids):
    """What reference.features gives for open_clip's, of images and texts."""
    images = model.vision_model(pixels).pooler_output
    texts = model.text_model(token_ids).pooler_output
    return {"transformers_image_features": model.visual_projection(images),
            "transformers_text_features": model.text_projection(texts)}
