"""Dropout that does not wait for its random numbers on CPUs."""

import torch
from torch import Tensor, nn

_STEPS = 2**16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`; on CPUs a value is kept or dropped by 16 random bits.

    torch draws one number a value there, one after the other: at `small` 7 % of a step
    (docs/decisions/0021). The probability is rounded to a multiple of 2⁻¹⁶, and what is kept is
    scaled by that one, so that its mean stays.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape → the same."""
        kept = round((1 - self.p) * _STEPS)
        here = input.device.type == "cpu" and not torch.compiler.is_compiling()
        if not (self.training and here and 0 < kept < _STEPS):
            return super().forward(input)
        return input * _scale(input, kept)


@torch.no_grad()
def _scale(like: Tensor, kept: int) -> Tensor:
    """0 or `_STEPS` / `kept` for each value, in the shape and type of `like`."""
    count = like.numel()
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = numbers.view(torch.int16)[:count].view(like.shape)
    return (bits < kept - _STEPS // 2).to(like.dtype).mul_(_STEPS / kept)
