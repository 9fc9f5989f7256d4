"""Scaled dot-product attention, fused, with a backward pass that CPUs do well in bfloat16.

Shape letters: R rows, H heads, T queries, N keys, d features of a head.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """softmax(Q Kᵀ / √d) V.

    Args:
        query: (R, H, T, d).
        key: (R, H, N, d).
        value: (R, H, N, d).
        mask: Broadcastable to (R, H, T, N), True where attention is allowed: somewhere for each
            query. Not together with `causal`.
        causal: A query sees the keys up to its own place.

    Returns:
        (R, H, T, d).
    """
    trains = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if trains and query.dtype == torch.bfloat16 and query.device.type == "cpu":
        mixed: Tensor = _MultipliedBackward.apply(query, key, value, mask, causal)
        return mixed
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)


class _MultipliedBackward(torch.autograd.Function):
    """Fused attention whose backward pass is five matrix products over the scores, made again.

    torch's own fused backward does not use the bfloat16 instructions of CPUs: it took three to
    five times as long (docs/decisions/0019). In memory both keep the same: Q, K, V and the result.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool
    ) -> Tensor:
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        if causal:
            mask = mixed.new_ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
        ctx.save_for_backward(query, key, value, mixed, mask)
        return mixed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With P the weights: dV = Pᵀ dO, dS = P ∘ (dO Vᵀ − Σ dO ∘ O), dQ = dS K / √d."""
        (gradient,) = gradients
        *given, mask = ctx.saved_tensors
        rows_heads, scale = gradient.shape[:2], 1 / math.sqrt(gradient.shape[-1])
        # what is not contiguous is copied here, once for both products that read it
        query, key, value, mixed, gradient = (t.flatten(0, 1) for t in (*given, gradient))
        nothing = query.new_zeros(1)
        weights = torch.baddbmm(nothing, query, key.mT, beta=0, alpha=scale)
        if mask is not None:
            weights.unflatten(0, rows_heads).masked_fill_(~mask, -math.inf)
        weights = weights.softmax(-1)
        of_scores = gradient @ value.mT
        of_scores = of_scores.sub_((gradient * mixed).sum(-1, keepdim=True)).mul_(weights)
        found = (
            torch.baddbmm(nothing, of_scores, key, beta=0, alpha=scale),
            torch.baddbmm(nothing, of_scores.mT, query, beta=0, alpha=scale),
            weights.mT @ gradient,
        )
        return (*(each.unflatten(0, rows_heads) for each in found), None, None)
