"""Weights of pretrained ViT and BERT checkpoints, mapped into kia's towers.

Paper: Sec. 4.2 (ViT-B/16 and a pre-trained BERT). A checkpoint is a hub name or a folder in
transformers format. Cross-attention layers are not in such checkpoints and stay as initialised.
"""

import math
import re
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, BertModel, ViTModel

from kia.config import ModelConfig
from kia.errors import ConfigError, ModelError
from kia.models.image_encoder import PatchStem
from kia.models.kia import KIAForReportGeneration

# transformers renamed the ViT layers within version 5; both spellings map to ours
_VIT_NAMES = (
    (r"^embeddings\.cls_token$", "class_token"),
    (r"^embeddings\.position_embeddings$", "position"),
    (r"^embeddings\.patch_embeddings\.projection\.", "stem.projection."),
    (r"^(?:encoder\.layer|layers)\.(\d+)\.", r"stack.blocks.\1."),
    (r"attention\.(?:attention\.)?(query|key|value)\.", r"self_attention.\1."),
    (r"attention\.(q|k|v)_proj\.", r"self_attention.\1_proj."),
    (r"attention\.(?:output\.dense|o_proj)\.", "self_attention.output."),
    (r"layernorm_before\.", "self_norm."),
    (r"layernorm_after\.", "feed_forward_norm."),
    (r"(?:intermediate\.dense|mlp\.fc1)\.", "feed_forward.expand."),
    (r"(?:(?<!attention\.)output\.dense|mlp\.fc2)\.", "feed_forward.contract."),
    (r"^layernorm\.", "final_norm."),
)
_BERT_NAMES = (
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


def load_pretrained_towers(model: KIAForReportGeneration, config: ModelConfig) -> None:
    """Loads the checkpoints that the configuration names into every tower of their kind.

    Raises:
        ModelError: A checkpoint cannot be had or read.
        ConfigError: Its sizes differ from the configuration's.
    """
    towers: dict[str, list[Any]] = {
        "image": [model.image_encoder, model.image_cross_encoder],
        "text": [model.text_encoder, model.text_cross_encoder, model.text_decoder],
    }
    if config.image_encoder.pretrained:
        source = config.image_encoder.pretrained
        load_image_tower(towers["image"], read_backbone(ViTModel, source), source)
    if config.text_encoder.pretrained:
        source = config.text_encoder.pretrained
        load_text_tower(towers["text"], read_backbone(BertModel, source), source)


def read_backbone(kind: type[Any], source: str) -> nn.Module:
    """A `transformers` ViTModel or BertModel from a hub name or folder.

    Raises:
        ModelError: It cannot be had, or is of another kind.
    """
    wanted = kind.config_class.model_type
    try:
        found = AutoConfig.from_pretrained(source).model_type
        if found != wanted:
            raise ModelError(f"{source} is a '{found}' checkpoint; a '{wanted}' one is needed here")
        backbone, about = kind.from_pretrained(
            source, add_pooling_layer=False, output_loading_info=True
        )
        if about["missing_keys"]:
            raise ModelError(f"{source} has no weights for {min(about['missing_keys'])}")
        return backbone
    except ModelError:
        raise
    except Exception as error:
        # the hub, safetensors and JSON raise many kinds; for the user all mean the same
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"cannot load pretrained weights '{source}': {reason} (name a local folder, or set "
            "pretrained to null to start from random weights)"
        ) from error


def pretrained_tokenizer(source: str) -> Tokenizer:
    """The fast tokenizer of a BERT checkpoint.

    Raises:
        ModelError: It cannot be had.
    """
    try:
        return AutoTokenizer.from_pretrained(source).backend_tokenizer
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"cannot load the tokenizer of '{source}': {reason}") from error


def load_image_tower(towers: list[Any], backbone: nn.Module, source: str) -> None:
    """Copies a ViT into image towers (the cross-attention layers excepted)."""
    config: Any = backbone.config
    weights = _fuse(_rename(backbone.state_dict(), _VIT_NAMES))
    for tower in _distinct(towers):
        stem = "patch" if isinstance(tower.stem, PatchStem) else "conv"
        side = math.isqrt(tower.position.shape[1] - 1) * tower.patch_size
        channels = next(tower.stem.parameters()).shape[1]
        _check_sizes(
            tower,
            config,
            source,
            "model.image_encoder",
            "pre",
            ("model.image_size", side, config.image_size),
            ("model.image_encoder.patch_size", tower.patch_size, config.patch_size),
            ("model.image_encoder.stem", stem, "patch"),
            ("model.image_encoder.channels", channels, config.num_channels),
        )
        _load(tower, weights, source, "model.image_encoder")


def load_text_tower(towers: list[Any], backbone: nn.Module, source: str) -> None:
    """Copies a BERT into text towers; kia's texts are all of token type 0, which is added to
    the position embeddings."""
    state = dict(backbone.state_dict())
    token_types = state.pop("embeddings.token_type_embeddings.weight")
    weights = _fuse(_rename(state, _BERT_NAMES))
    weights["position.weight"] = weights["position.weight"] + token_types[0]
    config: Any = backbone.config
    for tower in _distinct(towers):
        positions, longest = tower.position.num_embeddings, config.max_position_embeddings
        _check_sizes(
            tower,
            config,
            source,
            "model.text_encoder",
            "post",
            ("model.text_encoder.max_positions", positions, min(positions, longest)),
        )
        own = dict(weights)
        for name in ("word.weight", "position.weight"):
            own[name] = _first_rows(tower.get_parameter(name), weights[name])
        _load(tower, own, source, "model.text_encoder")


def _distinct(towers: list[Any]) -> list[Any]:
    return list({id(tower): tower for tower in towers}.values())


def _rename(state: dict[str, Tensor], rules: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in state.items():
        for pattern, ours in rules:
            name = re.sub(pattern, ours, name)
        renamed[name] = tensor
    return renamed


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


def _first_rows(own: Tensor, theirs: Tensor) -> Tensor:
    """A table whose first rows are the checkpoint's (new special tokens keep their own rows)."""
    table = own.detach().clone()
    rows = min(len(own), len(theirs))
    table[:rows] = theirs[:rows]
    return table


def _check_sizes(
    tower: Any,
    config: Any,
    source: str,
    key: str,
    norm_position: str,
    *more: tuple[str, object, object],
) -> None:
    """Names every setting that must change; heads and epsilons would fit and compute wrongly.

    Args:
        tower: Ours.
        config: The checkpoint's.
        source: Name of the checkpoint.
        key: Dotted path of the tower's settings.
        norm_position: The checkpoint's.
        more: (setting, ours, theirs) of the tower's kind.
    """
    if config.hidden_act != "gelu":
        raise ConfigError(f"{source} uses '{config.hidden_act}'; only 'gelu' towers are supported")
    block = tower.stack.blocks[0]
    settings = (
        (f"{key}.width", block.feed_forward.expand.in_features, config.hidden_size),
        (f"{key}.depth", len(tower.stack.blocks), config.num_hidden_layers),
        (f"{key}.heads", block.self_attention.heads, config.num_attention_heads),
        (f"{key}.ffn_width", block.feed_forward.expand.out_features, config.intermediate_size),
        (f"{key}.norm_position", "pre" if block.pre_norm else "post", norm_position),
        (f"{key}.layer_norm_eps", block.self_norm.eps, config.layer_norm_eps),
        *more,
    )
    wrong = [f"{name}={theirs}" for name, ours, theirs in settings if ours != theirs]
    if wrong:
        raise ConfigError(f"{source} has other sizes: set {', '.join(wrong)}")


def _load(tower: nn.Module, weights: dict[str, Tensor], source: str, key: str) -> None:
    own = tower.state_dict()
    for name, tensor in weights.items():
        if name not in own or own[name].shape != tensor.shape:
            wanted = tuple(own[name].shape) if name in own else "absent"
            raise ConfigError(
                f"{source} does not fit {key}: {name} is {tuple(tensor.shape)} there, {wanted} here"
            )
    missing = [n for n in own if n not in weights and "cross" not in n and n != "mask_token"]
    if missing:
        raise ConfigError(f"{source} does not fit {key}: it has no {missing[0]}")
    tower.load_state_dict(weights, strict=False)
