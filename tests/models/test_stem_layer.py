"""A layer of the convolutional stem by running statistics: one convolution instead of two steps."""

import torch
from torch.nn.functional import batch_norm

from kia.models.image_encoder import StemLayer


def test_it_is_convolution_batch_norm_and_relu() -> None:
    torch.manual_seed(0)
    layer = StemLayer(3, 8, stride=2).double()
    norm = layer.norm
    with torch.no_grad():
        for statistic in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            assert statistic is not None
            statistic.uniform_(0.5, 2.0)
    x = torch.randn(5, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    direction = torch.randn(5, 8, 8, 8, dtype=torch.float64)
    before = {name: value.clone() for name, value in norm.named_buffers()}
    found = layer(x, own_statistics=False)
    convolved = layer.convolution(x)
    expected = batch_norm(
        convolved, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    ).relu()
    assert torch.allclose(found, expected)
    assert 0.1 < (found == 0).double().mean() < 0.9
    ours, theirs = (torch.autograd.grad(y, inputs, direction) for y in (found, expected))
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other)
    for name, value in norm.named_buffers():
        assert torch.equal(value, before[name]), name


def test_in_bfloat16_it_is_as_near_as_two_steps() -> None:
    torch.manual_seed(0)
    layer, x = StemLayer(3, 8, stride=2), torch.randn(5, 3, 16, 16)
    norm = layer.norm
    with torch.no_grad():
        for statistic in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
            assert statistic is not None
            statistic.uniform_(0.5, 2.0)
        exact = layer(x, own_statistics=False)
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(x, own_statistics=False)
            convolved = layer.convolution(x).float()
        two = batch_norm(
            convolved, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        ).relu()
    assert found.dtype == torch.bfloat16
    assert (found - exact).abs().mean() < 2 * (two.bfloat16() - exact).abs().mean()
