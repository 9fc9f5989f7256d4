"""A convolution of one feature each, whose backward pass is fast on CPUs (docs/decisions/0036).

oneDNN has fast kernels for the output, and for some of the gradients: in bfloat16 it has none for
the input of a convolution with stride 2, and only 3 × 3 weights have one; the 25 of 5 × 5 take 10
to 100 times as long. So a convolution with stride is turned into one without, whose output has
zeros in between, and larger kernels are taken 3 × 3 weights at a time. Shape letters: R images, C
features, k the side of the kernel.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad

Edges = tuple[int, int]


def depthwise(x: Tensor, weight: Tensor, bias: Tensor, stride: int, edges: Edges) -> Tensor:
    """`conv2d` with as many groups as features, in the precision of autocast; differentiable once.

    Args:
        x: (R, C, S, S), channels last.
        weight: (C, 1, k, k), k odd, 3 at least.
        bias: (C,).
        stride: Between the places of the output, in x.
        edges: Zeros before and after each row and each column.
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    out: Tensor = _Depthwise.apply(x, weight, bias, stride, edges)
    return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, edges: Edges
    ) -> Tensor:
        ctx.side, ctx.stride, ctx.edges, ctx.padding = x.shape[-1], stride, edges, edges[0]
        if edges[0] != edges[1]:
            x, ctx.padding = pad(x, edges * 2), 0
        ctx.save_for_backward(x, weight)
        return conv2d(x, weight, bias, stride, ctx.padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _of_input(gradient, ctx.side, weight, ctx.stride, ctx.edges[0])
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None, None


def _of_input(gradient: Tensor, side: int, weight: Tensor, stride: int, before: int) -> Tensor:
    """The convolution of the output's gradient with the weights turned round."""
    rows, channels, places, _ = gradient.shape
    turned, reach = weight.flip(2, 3), weight.shape[-1] - 1
    first = reach - before
    if stride == 1 and places + 2 * first - reach == side:
        return conv2d(gradient, turned, None, 1, first, groups=channels)
    wide = gradient.new_zeros(rows, side + reach, side + reach, channels).permute(0, 3, 1, 2)
    there = slice(first, first + stride * places, stride)
    wide[:, :, there, there] = gradient
    return conv2d(wide, turned, None, groups=channels)


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    side = weight.shape[-1]
    if side == 3:
        return _of_nine(gradient, x, weight, stride, padding)
    # places that a 3 × 3 kernel reads from, for all of its outputs
    reads = stride * (gradient.shape[-1] - 1) + 3
    found, nine = torch.empty_like(weight), weight[..., :3, :3].contiguous()
    around = pad(x, (padding,) * 4) if padding else x
    for i in range(0, side - 2, 2):
        for j in range(0, side - 2, 2):
            part = around[:, :, i : i + reads, j : j + reads]
            part = part.contiguous(memory_format=torch.channels_last)
            found[..., i : i + 3, j : j + 3] = _of_nine(gradient, part, nine, stride, 0)
    return found


def _of_nine(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    sizes = [stride, stride], [padding, padding], [1, 1], False, [0, 0], len(weight)
    wanted = [False, True, False]
    of_weight: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, *sizes, wanted
    )[1]
    return of_weight
