"""Frozen parts: weights that training leaves as they were loaded."""

import re
from collections.abc import Iterable
from typing import Any

from torch import nn

# by the names of weights; what no published ViT, BERT or EfficientNet holds (the mask token,
# cross-attention, a stem's projection to the width) is not part of a tower here, because it would
# be frozen at random values
PARTS = {
    "image_stem": r"image(_cross)?_tower\.stem\.(?!to_width)",
    "image_tower": r"image(_cross)?_tower\.(?!mask_token|stem\.to_width|.*\.cross_)",
    "text_tower": r"text(_cross|_decoder)?_tower\.(?!.*\.cross_)",
    "cross_attention": r"\w+_tower\..*\.cross_(attention|norm)\.",
}


def freeze(model: nn.Module, parts: Iterable[str]) -> None:
    """Takes the gradient from parts of a model; the optimiser then leaves them out.

    Batch norms of a frozen part use and keep their running statistics. Momentum encoders that are
    copied from the model afterwards do so too, and stay equal to it.

    Args:
        model: A `KIAModel`.
        parts: Keys of `PARTS` (`train.frozen`).
    """
    for part in parts:
        for name, parameter in model.named_parameters():
            if re.match(PARTS[part], name):
                parameter.requires_grad_(False)
        for name, module in model.named_modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and re.match(
                PARTS[part], f"{name}."
            ):
                module.register_forward_pre_hook(_evaluate)


def _evaluate(module: nn.Module, _: Any) -> None:
    """Before each use, because `train()` of any module above would undo it."""
    module.eval()
