"""Attention against its formula in float64, forward and backward."""

import math

import pytest
import torch

from kia.models.attention import _MultipliedBackward, attend


def made(dtype: torch.dtype, seed: int = 0) -> list[torch.Tensor]:
    """Q (2, 3, 6, 8), K and V (2, 3, 6, 8) as a tower makes them: views, features last."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(3, 2, 6, 3, 8, generator=generator, dtype=torch.float64)
    return [part.to(dtype).transpose(1, 2).requires_grad_() for part in drawn]


def formula(query, key, value, mask=None, causal=False):
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ value


PADDED = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 0, 1, 1, 1, 1]], dtype=torch.bool)[:, None, None]
MASKS = [(None, False), (PADDED, False), (None, True)]


@pytest.mark.parametrize(("mask", "causal"), MASKS, ids=["all", "padded", "causal"])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_attention_and_its_gradients_are_those_of_the_formula(mask, causal, dtype, near):
    rounded = made(dtype)
    exact = [part.detach().double().requires_grad_() for part in rounded]
    upstream = torch.linspace(-1, 1, 8, dtype=torch.float64).expand(2, 3, 6, 8)
    expected = formula(*exact, mask, causal)
    wanted = torch.autograd.grad(expected, exact, upstream)
    found = attend(*rounded, mask, causal)
    gradients = torch.autograd.grad(found, rounded, upstream.to(dtype))
    assert found.dtype == dtype
    for one, other in zip((found, *gradients), (expected, *wanted), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=near, atol=near)


@pytest.mark.parametrize(("mask", "causal"), MASKS, ids=["all", "padded", "causal"])
def test_the_own_backward_pass_is_exact(mask, causal):
    assert torch.autograd.gradcheck(
        lambda *parts: _MultipliedBackward.apply(*parts, mask, causal), made(torch.float64)
    )


def test_the_own_backward_pass_serves_training_in_bfloat16_on_cpus_alone():
    def node(found):
        return type(found.grad_fn).__name__

    assert "MultipliedBackward" in node(attend(*made(torch.bfloat16)))
    assert "MultipliedBackward" not in node(attend(*made(torch.float32)))
    with torch.no_grad():
        assert attend(*made(torch.bfloat16)).grad_fn is None


def test_gradients_of_keys_and_values_alone():
    """Queries that need none: a frozen tower that reads one that is trained."""
    query, key, value = made(torch.bfloat16)
    query = query.detach()
    attend(query, key, value).float().sum().backward()
    assert key.grad is not None and value.grad is not None


MIXED = torch.ones(2, 1, 6, 9, dtype=torch.bool)
MIXED[0] = torch.ones(6, 9, dtype=torch.bool).tril()


@pytest.mark.parametrize("mask", [None, MIXED], ids=["all", "a mask a row"])
@pytest.mark.parametrize("rows", [2, 0])
def test_a_context_may_have_another_length_and_a_rank_no_rows(mask, rows):
    """Six queries read nine keys; keys and values are views, as cross-attention makes them."""
    query = made(torch.float64)[0][:rows].detach().requires_grad_()
    generator = torch.Generator().manual_seed(1)
    pair = torch.randn(2, rows, 9, 3, 8, generator=generator, dtype=torch.float64)
    parts = [query, *(part.transpose(1, 2).requires_grad_() for part in pair)]
    mask = None if mask is None else mask[:rows]
    upstream = torch.linspace(-1, 1, 8, dtype=torch.float64).expand(rows, 3, 6, 8)
    wanted = torch.autograd.grad(formula(*parts, mask), parts, upstream)
    found = torch.autograd.grad(_MultipliedBackward.apply(*parts, mask, False), parts, upstream)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
