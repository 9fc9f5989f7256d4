"""From the weight names of transformers' ViT, DINOv2 and BERT to those of kia's towers."""

import re

import torch
from torch import Tensor

Rules = tuple[tuple[str, str], ...]

# transformers renamed the ViT layers within version 5; both spellings map to ours
VIT_NAMES: Rules = (
    (r"^embeddings\.cls_token$", "class_token"),
    (r"^embeddings\.position_embeddings$", "position"),
    (r"^embeddings\.patch_embeddings\.projection\.", "stem.projection."),
    (r"^(?:encoder\.layer|layers)\.(\d+)\.", r"stack.blocks.\1."),
    (r"attention\.(?:attention\.)?(query|key|value)\.", r"self_attention.\1."),
    (r"attention\.(q|k|v)_proj\.", r"self_attention.\1_proj."),
    (r"attention\.(?:output\.dense|o_proj)\.", "self_attention.output."),
    (r"(?:layernorm_before|norm1)\.", "self_norm."),
    (r"(?:layernorm_after|norm2)\.", "feed_forward_norm."),
    (r"(?:intermediate\.dense|mlp\.fc1)\.", "feed_forward.expand."),
    (r"(?:(?<!attention\.)output\.dense|mlp\.fc2)\.", "feed_forward.contract."),
    (r"^layernorm\.", "final_norm."),
)
BERT_NAMES: Rules = (
    (r"^embeddings\.word_embeddings\.", "word."),
    (r"^embeddings\.position_embeddings\.", "position."),
    (r"^embeddings\.LayerNorm\.", "norm."),
    (r"^encoder\.layer\.(\d+)\.", r"stack.blocks.\1."),
    (r"attention\.self\.(query|key|value)\.", r"self_attention.\1."),
    (r"attention\.output\.dense\.", "self_attention.output."),
    (r"attention\.output\.LayerNorm\.", "self_norm."),
    (r"intermediate\.dense\.", "feed_forward.expand."),
    (r"output\.LayerNorm\.", "feed_forward_norm."),
    (r"(?<!attention\.)(?<!self_attention\.)output\.dense\.", "feed_forward.contract."),
)
_QKV = (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"))
# a layer scale multiplies what a sublayer adds, as the last linear layer of that sublayer can
_SCALED = {
    "layer_scale1.lambda1": "self_attention.output",
    "layer_scale2.lambda1": "feed_forward.contract",
}


def tower_weights(state: dict[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """The weights of a checkpoint under the names of a tower.

    Query, key and value become one projection. DINOv2's layer scales γ go into the projection
    before them, γ·(Wx + b) = (γW)x + γb, so that the tower needs none.

    Args:
        state: Of the backbone; not changed.
        rules: VIT_NAMES or BERT_NAMES.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for pattern, ours in rules:
            name = re.sub(pattern, ours, name)
        renamed[name] = tensor
    return _scale(_fuse(renamed))


def _fuse(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Joins the query, key and value projections of each block into one."""
    fused = dict(state)
    for name in state:
        found = re.match(r"(.*self_attention\.)(query|q_proj)\.(weight|bias)$", name)
        if found:
            prefix, _, kind = found.groups()
            parts = []
            for spellings in _QKV:
                full = next(
                    f"{prefix}{s}.{kind}" for s in spellings if f"{prefix}{s}.{kind}" in fused
                )
                parts.append(fused.pop(full))
            fused[f"{prefix}query_key_value.{kind}"] = torch.cat(parts)
    return fused


def _scale(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Multiplies the layer scales into the projections that they follow."""
    scaled = dict(state)
    for name in state:
        for scale, projection in _SCALED.items():
            if name.endswith(scale):
                gamma, target = scaled.pop(name), name.removesuffix(scale) + projection
                scaled[f"{target}.weight"] = gamma[:, None] * scaled[f"{target}.weight"]
                scaled[f"{target}.bias"] = gamma * scaled[f"{target}.bias"]
    return scaled
