"""Weights of pretrained ViT, DINOv2 and BERT checkpoints, mapped into kia's towers.

Paper: Sec. 4.2 (ViT-B/16 and a pre-trained BERT). A checkpoint is a hub name or a folder in
transformers format. Cross-attention layers are not in such checkpoints and stay as initialised;
BERT's word head is loaded where there is one.
transformers is imported where there is one to read, because it takes seconds.
"""

import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn

from kia.config import STEM_FILE, ModelConfig
from kia.errors import ConfigError, ModelError
from kia.models.efficientnet import EfficientNetStem, load_published_weights
from kia.models.folder import take_weights
from kia.models.heads import WordPrediction
from kia.models.image_encoder import PatchStem, resample_positions
from kia.models.kia import KIAModel
from kia.models.pretrained_names import BERT_NAMES, VIT_NAMES, tower_weights

# what kia has no place for, by the checkpoint's kind
_REFUSED = {
    "dinov2_with_registers": "its register tokens have no place in kia's image tower",
    "dinov3_vit": "its rotary positions and register tokens have no place in kia's image tower",
}


def load_pretrained_towers(model: KIAModel, config: ModelConfig) -> None:
    """Loads the checkpoints that the configuration names into every tower of their kind.

    Raises:
        ModelError: A checkpoint cannot be had or read.
        ConfigError: Its sizes differ from the configuration's.
    """
    towers: dict[str, list[Any]] = {
        "image": [model.image_encoder, model.image_cross_encoder],
        "text": [model.text_encoder, model.text_cross_encoder, model.text_decoder],
    }
    if config.image_encoder.stem == "efficientnet-lite0":
        if config.image_encoder.pretrained:
            for tower in _distinct(towers["image"]):
                load_stem(tower.stem, config.image_encoder.pretrained)
    elif config.image_encoder.pretrained:
        source = config.image_encoder.pretrained
        backbone = read_backbone(("ViTModel", "Dinov2Model"), source)
        read_kia_pixels(backbone, source)
        load_image_tower(towers["image"], backbone, source)
    if config.text_encoder.pretrained:
        source = config.text_encoder.pretrained
        load_text_tower(towers["text"], read_backbone(("BertModel",), source), source)
        load_word_head(model.word_prediction, source)


def stem_weights(stem: EfficientNetStem) -> dict[str, Tensor]:
    """What a file of a stem's weights holds: all but the projection to a tower's width."""
    return {name: w for name, w in stem.state_dict().items() if not name.startswith("to_width.")}


def load_stem(stem: EfficientNetStem, source: str) -> None:
    """Loads the published weights of a network, or those of a file (`stem_weights`).

    Args:
        stem: Changed in place; its projection stays.
        source: "efficientnet-lite0", or the path of a .safetensors file.

    Raises:
        ModelError: There are none, or they are not of such a stem.
    """
    if not source.endswith(STEM_FILE):
        load_published_weights(stem)
        return
    try:
        take_weights(stem_weights(stem), Path(source))
    except (OSError, ValueError, MemoryError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{source}: no weights of an efficientnet-lite0 stem ({reason}); set "
            "model.image_encoder.pretrained to efficientnet-lite0 or to a file that "
            "experiments/eyes.py wrote"
        ) from error


def read_backbone(kinds: tuple[str, ...], source: str) -> nn.Module:
    """A backbone of `transformers` from a hub name or folder.

    Args:
        kinds: The model classes that may be there, such as "ViTModel".
        source: Hub name or folder.

    Raises:
        ModelError: It cannot be had, or is of another kind.
    """
    import transformers

    classes = [getattr(transformers, kind) for kind in kinds]
    wanted = {kind.config_class.model_type: kind for kind in classes}
    try:
        found = transformers.AutoConfig.from_pretrained(source).model_type
        if found not in wanted:
            needed = " or ".join(f"'{name}'" for name in wanted)
            reason = f" ({_REFUSED[found]})" if found in _REFUSED else ""
            raise ModelError(f"{source} is a '{found}' checkpoint; {needed} is needed here{reason}")
        kind = wanted[found]
        # DINOv2 has no pooling layer to leave out
        options = {} if kind is transformers.Dinov2Model else {"add_pooling_layer": False}
        backbone, about = kind.from_pretrained(source, output_loading_info=True, **options)
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


def read_kia_pixels(backbone: Any, source: str) -> None:
    """Changes the patch projection so that it reads kia's grey values, −1 to 1, as its own.

    A checkpoint was trained on (x − m) / s of grey values x from 0 to 1, with m and s of each
    channel in its preprocessor_config.json; kia hands it y = 2x − 1. So x = (y + 1) / 2, and the
    projection of (x − m) / s is a projection of y with weights w / 2s and a bias larger by
    Σ w · (½ − m) / s. Without that file m = s = ½ is taken, ViT's, which changes nothing.
    """
    from transformers import ImageProcessingMixin

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(source)
    except OSError:
        return
    projection = backbone.embeddings.patch_embeddings.projection
    shape = (1, projection.weight.shape[1], 1, 1)
    normalised = settings.get("do_normalize", True)
    mean, deviation = (
        torch.tensor(settings.get(name, 0.5) if normalised else unchanged).expand(shape[1])
        for name, unchanged in (("image_mean", 0.0), ("image_std", 1.0))
    )
    with torch.no_grad():
        weight = projection.weight / deviation.view(shape)
        projection.bias += (weight * (0.5 - mean).view(shape)).sum((1, 2, 3))
        projection.weight.copy_(weight / 2)


def pretrained_tokenizer(source: str) -> Tokenizer:
    """The fast tokenizer of a BERT checkpoint.

    Raises:
        ModelError: It cannot be had.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(source).backend_tokenizer
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"cannot load the tokenizer of '{source}': {reason}") from error


def load_image_tower(towers: list[Any], backbone: nn.Module, source: str) -> None:
    """Copies a ViT or DINOv2 into image towers (the cross-attention layers excepted).

    Position embeddings are resampled to the towers' patch grid.

    Raises:
        ConfigError: Its sizes differ from the towers'.
    """
    config: Any = backbone.config
    if getattr(config, "use_swiglu_ffn", False):
        raise ConfigError(f"{source} has SwiGLU feed-forward layers; only GELU ones are supported")
    state = dict(backbone.state_dict())
    state.pop("embeddings.mask_token", None)  # of another task
    weights = tower_weights(state, VIT_NAMES)
    for tower in _distinct(towers):
        stem = "patch" if isinstance(tower.stem, PatchStem) else "conv"
        channels = next(tower.stem.parameters()).shape[1]
        _check_sizes(
            tower,
            config,
            source,
            "model.image_encoder",
            "pre",
            ("model.image_encoder.patch_size", tower.patch_size, config.patch_size),
            ("model.image_encoder.stem", stem, "patch"),
            ("model.image_encoder.channels", channels, config.num_channels),
        )
        grid = math.isqrt(tower.position.shape[1] - 1)
        own = weights | {"position": resample_positions(weights["position"], grid)}
        _load(tower, own, source, "model.image_encoder")


def load_text_tower(towers: list[Any], backbone: nn.Module, source: str) -> None:
    """Copies a BERT into text towers; kia's texts are all of token type 0, which is added to
    the position embeddings."""
    state = dict(backbone.state_dict())
    token_types = state.pop("embeddings.token_type_embeddings.weight")
    weights = tower_weights(state, BERT_NAMES)
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
            own[name] = first_rows(tower.get_parameter(name), weights[name])
        _load(tower, own, source, "model.text_encoder")


def load_word_head(head: WordPrediction, source: str) -> None:
    """Loads BERT's masked-language head, where the checkpoint has one whole; else ours stays.

    Args:
        head: Of a model whose text towers carry the checkpoint already.
        source: Hub name or folder.
    """
    from transformers import BertForMaskedLM

    loaded: Any = BertForMaskedLM.from_pretrained(source, output_loading_info=True)
    theirs, about = loaded
    if any(name.startswith("cls.") for name in about["missing_keys"]):
        return
    found = theirs.cls.predictions
    head.dense.load_state_dict(found.transform.dense.state_dict())
    head.norm.load_state_dict(found.transform.LayerNorm.state_dict())
    with torch.no_grad():
        head.bias.copy_(first_rows(head.bias, found.bias))


def _distinct(towers: list[Any]) -> list[Any]:
    return list({id(tower): tower for tower in towers}.values())


def first_rows(own: Tensor, theirs: Tensor) -> Tensor:
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
    hidden = getattr(config, "intermediate_size", None)
    if hidden is None:  # DINOv2 gives it as a multiple of the width
        hidden = int(config.hidden_size * config.mlp_ratio)
    settings = (
        (f"{key}.width", block.feed_forward.expand.in_features, config.hidden_size),
        (f"{key}.depth", len(tower.stack.blocks), config.num_hidden_layers),
        (f"{key}.heads", block.self_attention.heads, config.num_attention_heads),
        (f"{key}.ffn_width", block.feed_forward.expand.out_features, hidden),
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
