"""RAdam and the learning rate (Paper: Sec. 4.2)."""

import re
from collections.abc import Sequence

import torch
from torch import nn

from kia.config import StageConfig, TrainConfig


def build_optimizer(
    module: nn.Module, config: TrainConfig, stage: StageConfig
) -> torch.optim.RAdam:
    """RAdam with decoupled weight decay; none on biases, norms, embeddings of position or τ.

    Args:
        module: Parameters that require a gradient are optimised, in their fixed order.
        config: Weight decay and layer decay.
        stage: Initial learning rate.

    Returns:
        Groups have a "rate_factor", by which the learning rate is to be multiplied.
    """
    named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    factors = rate_factors([name for name, _ in named], config.layer_decay)
    members: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        is_plain = parameter.ndim < 2 or "position" in name or name.endswith("_token")
        members.setdefault((is_plain, factors[name]), []).append(parameter)
    groups = [
        {
            "params": parameters,
            "weight_decay": 0.0 if is_plain else config.weight_decay,
            "rate_factor": factor,
        }
        for (is_plain, factor), parameters in sorted(members.items(), key=lambda item: item[0])
    ]
    return torch.optim.RAdam(
        groups,
        lr=stage.learning_rate,
        betas=(0.9, config.beta2),
        decoupled_weight_decay=True,
        foreach=True,
    )


FOLDED = {"first": 2.4, "expand": 0.02, "depthwise": 0.4, "project": 0.25, "last": 0.07}
"""Sizes of the published weights of efficientnet-lite0 by layer, root mean square: where batch norm
is folded into a convolution, its weights have whatever size undoes that of its input."""
FOLDED_BIAS = 0.2
"""A tenth of that of the biases."""
FOLDED_SHARE = 0.25
"""At the rate 1e-3 of a new network: larger steps lose what the published weights know."""
_FOLDED = re.compile(rf"\.stem\.(?:blocks\.\d+\.)?({'|'.join(FOLDED)})\.(weight|bias)$")
_LAYER = re.compile(r"(\w+_tower)\.(?:stack\.blocks\.(\d+)\.)?(?!final_norm)")


def rate_factors(names: Sequence[str], layer_decay: float) -> dict[str, float]:
    """What the learning rate of each parameter is multiplied by: less, the deeper it lies.

    In a tower of L blocks, block i (from 0) has layer_decay^(L − i); the stem, embeddings and
    tokens have layer_decay^(L + 1). All that comes after the blocks has 1, and so have
    cross-attention and the mask token, which no published checkpoint holds. Source: BEiT (Bao et
    al. 2022) and MAE (He et al. 2022, App. A.1), whose layer 0 is the embedding and layer L + 1
    the head: the factor of layer l is layer_decay^(L + 1 − l).

    The stem efficientnet-lite0 learns at rates relative to the size of its weights (`FOLDED`):
    Adam's steps are of one size for all weights, and its expanding layers are a hundred times
    smaller than its first one (docs/decisions/0036).

    Args:
        names: Of parameters.
        layer_decay: Above 0 to 1; 1 leaves all at 1.
    """
    places = {name: _LAYER.search(name) for name in names}
    depths: dict[str, int] = {}
    for found in places.values():
        if found and found[2]:
            depths[found[1]] = max(depths.get(found[1], 0), int(found[2]) + 1)
    factors = dict.fromkeys(names, 1.0)
    for name, found in places.items():
        if found and not re.search(r"\.cross_|mask_token", name):
            depth = depths.get(found[1], 0)
            layer = int(found[2]) + 1 if found[2] else 0
            factors[name] = layer_decay ** (depth + 1 - layer)
        if folded := _FOLDED.search(name):
            size = FOLDED[folded[1]] if folded[2] == "weight" else FOLDED_BIAS
            factors[name] *= FOLDED_SHARE * size
    return factors


def learning_rate(config: TrainConfig, stage: StageConfig, epoch: int, step: int) -> float:
    """The learning rate of a step: 0.98 an epoch, after an optional linear warm-up.

    The paper says "a linear decay with a decay rate of 0.98"; we read it as a factor an epoch.

    Args:
        config: Decay and warm-up.
        stage: Initial learning rate.
        epoch: Within the stage, from 0.
        step: Within the stage, from 0.
    """
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    return stage.learning_rate * config.decay_per_epoch**epoch * warm
