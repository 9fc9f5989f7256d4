"""Options of the transformer blocks: compiled, or computed again in the backward pass."""

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import nn

from kia.config import TrainConfig
from kia.models.transformer_block import BlockStack, TransformerBlock


def prepare_blocks(module: nn.Module, config: TrainConfig) -> None:
    """Applies `train.compile` and `train.activation_checkpointing`; names of weights stay."""
    for part in module.modules():
        if isinstance(part, BlockStack):
            part.recompute = config.activation_checkpointing
        elif isinstance(part, TransformerBlock) and config.compile:
            part.compile(dynamic=True)


def eager(config: TrainConfig) -> AbstractContextManager[None]:
    """The context for writing reports: in more shapes than are worth compiling."""
    if config.compile:  # the name alone loads the compiler
        return torch.compiler.set_stance("force_eager")
    return contextlib.nullcontext()
