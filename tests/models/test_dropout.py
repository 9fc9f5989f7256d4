"""Dropout by 16 random bits a value: what torch's promises, and repeatable."""

import pytest
import torch
from torch import nn

from kia.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_dropped_or_scaled(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.full((401, 999), 2.0, dtype=dtype, requires_grad=True)
    y = Dropout(p)(x)
    assert y.dtype == dtype and y.shape == x.shape
    kept = y != 0
    # four deviations of a share of 400,000 coins
    assert abs(kept.float().mean() - (1 - p)) < 4 * (p * (1 - p) / x.numel()) ** 0.5
    steps = round((1 - p) * 2**16)
    scale = torch.tensor(2**16 / steps, dtype=dtype)
    assert torch.equal(y[kept], (2 * scale).expand(int(kept.sum())))
    y.backward(torch.ones_like(y))
    assert x.grad is not None and torch.equal(x.grad, kept * scale)


def test_rows_columns_and_steps_are_independent() -> None:
    """Correlations of 10,000 coins, over neighbours that share a 64-bit number and over steps."""
    torch.manual_seed(0)
    layer, x = Dropout(0.5), torch.ones(10_000, 8)
    first, second = (layer(x) != 0 for _ in range(2))
    pairs = torch.corrcoef(torch.cat([first, second], 1).float().T)
    assert (pairs - torch.eye(16)).abs().max() < 0.05


def test_a_seed_repeats_it() -> None:
    x, drawn = torch.ones(7, 5), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.5)(x))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_edges_are_those_of_torch(p: float) -> None:
    x = torch.randn(3, 4)
    assert torch.equal(Dropout(p).eval()(x), x)
    if p != 0.2:
        assert torch.equal(Dropout(p)(x), nn.Dropout(p)(x))
    assert Dropout(p)(x[:0]).shape == (0, 4)
