"""The depthwise convolution's own backward pass, against torch's."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, relu6

from kia.models import efficientnet
from kia.models.depthwise import Edges, depthwise
from kia.models.efficientnet import Convolution, EfficientNetStem

CHANNELS = 6


def given(side: int, size: int, rows: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """x, weight and bias, all of which want gradients."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, CHANNELS, size, size, generator=random)
    weight = torch.randn(CHANNELS, 1, side, side, generator=random)
    bias = torch.randn(CHANNELS, generator=random)
    x = x.contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


def plain(x: Tensor, weight: Tensor, bias: Tensor, stride: int, edges: Edges) -> Tensor:
    """As torch computes and differentiates it."""
    return conv2d(pad(x, edges * 2), weight, bias, stride, groups=len(weight))


@pytest.mark.parametrize("side", [3, 5, 7])
@pytest.mark.parametrize(
    ("stride", "edges", "size"),
    [(1, "same", 8), (1, "same", 5), (2, "uneven", 16), (2, "uneven", 8), (2, "none", 13)],
)
def test_output_and_gradients_are_those_of_torch(
    side: int, stride: int, edges: str, size: int
) -> None:
    less = (side - 2) // 2
    zeros = {"same": (side // 2, side // 2), "uneven": (less, side - 2 - less), "none": (0, 0)}
    own, theirs = given(side, size), given(side, size)
    out = depthwise(*own, stride, zeros[edges])
    expected = plain(*theirs, stride, zeros[edges])
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    gradient = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(gradient)
    expected.backward(gradient)
    for one, other in zip(own, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("side", "stride", "edges"), [(3, 2, (0, 1)), (5, 2, (1, 2)), (5, 1, (2, 2))]
)
def test_in_bfloat16_gradients_are_as_close_to_exact_ones(
    side: int, stride: int, edges: Edges
) -> None:
    """As close as torch's in bfloat16, whose numbers have 8 bits."""
    own, exact = given(side, 16), given(side, 16)
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise(*own, stride, edges)
    assert out.dtype == torch.bfloat16
    gradient = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(gradient.bfloat16())
    plain(*exact, stride, edges).backward(gradient)
    for one, other in zip(own, exact, strict=True):
        assert one.grad is not None and other.grad is not None
        assert one.grad.dtype == torch.float32
        assert (one.grad - other.grad).norm() < 0.01 * other.grad.norm()


def test_no_rows_have_no_gradient() -> None:
    """As on a rank that has none of the studies of a small last batch."""
    x, weight, bias = given(5, 8, rows=0)
    depthwise(x, weight, bias, 1, (2, 2)).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape
    for parameter in (weight, bias):
        assert parameter.grad is not None and not parameter.grad.any()


def as_torch_has_it(stem: EfficientNetStem, images: Tensor) -> Tensor:
    """The stem's features of the whole batch, with torch's own convolutions."""

    def convolved(layer: Convolution, x: Tensor) -> Tensor:
        x = pad(x, layer.uneven) if layer.uneven else x
        return conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)

    colours = images.expand(-1, 3, -1, -1)
    scale, offset = (images.new_tensor(n).view(1, 3, 1, 1) for n in (stem.scale, stem.offset))
    x = relu6(convolved(stem.first, colours * scale + offset))
    for block in stem.blocks:
        inside = x if block.expand is None else relu6(convolved(block.expand, x))
        y = convolved(block.project, relu6(convolved(block.depthwise, inside)))
        x = x + y if block.residual else y
    return relu6(convolved(stem.last, x))


@pytest.mark.parametrize("rows", [5, 0])
def test_a_trained_stem_computes_parts_of_a_batch_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(efficientnet, "_TOGETHER", (2 * 64**2, 3 * 64**2))
    torch.manual_seed(0)
    stem = EfficientNetStem(8).train()
    images = torch.rand(rows, 1, 64, 64) * 2 - 1
    found: list[list[Tensor]] = []
    for features in (stem.features(images), as_torch_has_it(stem, images)):
        stem.zero_grad(set_to_none=True)
        features.square().sum().backward()
        gradients = [p.grad for name, p in stem.named_parameters() if "to_width" not in name]
        found.append([features.detach(), *(g for g in gradients if g is not None)])
    assert len(found[0]) == 99  # the features; weight and bias of 49 convolutions
    for own, theirs in zip(*found, strict=True):
        torch.testing.assert_close(own, theirs, atol=1e-5, rtol=1e-3)
