"""RAdam and the learning rate (Paper: Sec. 4.2)."""

import torch
from torch import nn

from kia.config import StageConfig, TrainConfig


def build_optimizer(
    module: nn.Module, config: TrainConfig, stage: StageConfig
) -> torch.optim.RAdam:
    """RAdam with decoupled weight decay; none on biases, norms, embeddings of position or τ.

    Args:
        module: Parameters that require a gradient are optimised, in their fixed order.
        config: Weight decay.
        stage: Initial learning rate.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_plain = parameter.ndim < 2 or "position" in name or name.endswith("_token")
            (plain if is_plain else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.RAdam(
        groups,
        lr=stage.learning_rate,
        betas=(0.9, config.beta2),
        decoupled_weight_decay=True,
        foreach=True,
    )


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
