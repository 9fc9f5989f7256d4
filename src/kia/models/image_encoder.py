"""I-Enc and I-CMEnc: a Vision Transformer, cross-modal when it is given a context.

Paper: Sec. 3.1, Image Encoder and Image Cross-Modal Encoder. Shape letters: R images
(rows), C channels, S side, p patch size, N patches, D width.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, interpolate

from kia.models.batch_norm import BatchNorm2d
from kia.models.configuration import CheckpointConfig
from kia.models.dropout import Dropout
from kia.models.efficientnet import EfficientNetStem
from kia.models.heads import Standardise
from kia.models.transformer_block import BlockStack, Context, final_norm


class PatchStem(nn.Module):
    """One linear projection of every patch, as in ViT."""

    def __init__(self, channels: int, width: int, patch_size: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, width, patch_size, stride=patch_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(R, C, S, S) → (R, N, D), patches row by row."""
        return self.projection(pixel_values).flatten(2).transpose(1, 2)


class StemLayer(nn.Module):
    """A 3x3 convolution, batch norm and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm = BatchNorm2d(after)

    def forward(self, x: Tensor, *, own_statistics: bool) -> Tensor:
        """(R, C, S, S) → (R, C', S/stride, S/stride).

        Without `own_statistics` images leave the running statistics alone and are normalised
        by them, in training as after it: so are blanked images by those of whole ones.
        """
        if own_statistics:
            normalised = self.norm(self.convolution(x))
        else:
            normalised = self._by_running_statistics(x)
        return normalised.relu_()

    def _by_running_statistics(self, x: Tensor) -> Tensor:
        """Convolution and norm are one convolution then, whose weights the norm scales."""
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        weight = self.convolution.weight * scale[:, None, None, None]
        bias = norm.bias - norm.running_mean * scale
        stride, padding = self.convolution.stride, self.convolution.padding
        return conv2d(x, weight, bias, stride, padding)


class ConvStem(nn.Module):
    """Four stride-2 convolutions and one of stride 1 in place of the 16x16 projection.

    Why batch norm and the fifth layer: docs/decisions/0002.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = [channels, width // 8, width // 4, width // 2, width]
        layers = [StemLayer(*pair, stride=2) for pair in itertools.pairwise(widths)]
        self.layers = nn.ModuleList([*layers, StemLayer(width, width, stride=1)])
        self.projection = nn.Conv2d(width, width, 1)

    def forward(self, pixel_values: Tensor, *, own_statistics: bool = True) -> Tensor:
        """(R, C, S, S) → (R, N, D) on the same patch grid as `PatchStem`."""
        x = pixel_values
        for layer in self.layers:
            x = layer(x, own_statistics=own_statistics)
        return self.projection(x).flatten(2).transpose(1, 2)


def _normalise(norm: nn.BatchNorm1d, x: Tensor, own_statistics: bool) -> Tensor:
    """Batch norm; without `own_statistics` by the running ones, which stay as they are."""
    if own_statistics:
        return norm(x)
    return batch_norm(
        x.float(), norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )


class ImageEncoder(nn.Module):
    """The image tower; `with_context` builds the cross-attention that makes it I-CMEnc."""

    def __init__(self, config: CheckpointConfig, *, with_context: bool) -> None:
        super().__init__()
        tower, text = config.image_tower, config.text_tower
        width = tower["width"]
        self.patch_size = tower["patch_size"]
        self.masked_images_only = with_context and not config.share_parameters
        if tower["stem"] == "conv":
            self.stem: nn.Module = ConvStem(tower["channels"], width)
        elif tower["stem"] == "efficientnet-lite0":
            self.stem = EfficientNetStem(width, tower["dropout"])
        else:
            self.stem = PatchStem(tower["channels"], width, self.patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.zeros(1, config.grid**2 + 1, width))
        self.dropout = Dropout(tower["dropout"])
        self.stack = BlockStack.of_tower(tower, text["width"] if with_context else None)
        self.final_norm = final_norm(tower)
        self.token_norm = Standardise(width) if tower["standardise"] else None

    def forward(
        self,
        pixel_values: Tensor,
        image_mask: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """Encodes images, each alone or reading its context.

        Args:
            pixel_values: (R, C, S, S), normalised.
            image_mask: (R, N), True where a patch is hidden (Paper: I_m of Eq. 4).
            context: Report features from `stack.context`; given, this is I-CMEnc.

        Returns:
            (R, 1 + N, D), the global feature first: [CLS]. With `standardise` every feature has
            mean 0 and deviation 1 over the tokens of all images (docs/decisions/0012).
        """
        return self.encoded_by(partial(self.stack, context=context), pixel_values, image_mask)

    def encoded_by(
        self,
        blocks: Callable[[Tensor], Tensor],
        pixel_values: Tensor,
        image_mask: Tensor | None = None,
    ) -> Tensor:
        """Encodes images with other blocks, (R, 1 + N, D) → the same, in place of `stack`."""
        x = self._patches(pixel_values, image_mask)
        if image_mask is not None:
            x = torch.where(image_mask[..., None], self.mask_token.to(x.dtype), x)
        x = torch.cat([self.class_token.to(x.dtype).expand(x.shape[0], -1, -1), x], dim=1)
        x = self.dropout(x + self.position)
        x = self.final_norm(blocks(x))
        if self.token_norm is None:
            return x
        own_statistics = image_mask is None or self.masked_images_only
        tokens = _normalise(self.token_norm, x.flatten(0, 1), own_statistics)
        return tokens.to(x.dtype).unflatten(0, x.shape[:2])

    def _patches(self, pixel_values: Tensor, image_mask: Tensor | None) -> Tensor:
        """(R, N, D); hidden patches are blanked before a stem that looks across patch borders."""
        if image_mask is None or isinstance(self.stem, PatchStem):
            return self.stem(pixel_values)
        grid = pixel_values.shape[-1] // self.patch_size
        hidden = image_mask.unflatten(1, (1, grid, grid))
        hidden = hidden.repeat_interleave(self.patch_size, 2).repeat_interleave(self.patch_size, 3)
        blanked = pixel_values.masked_fill(hidden, 0.0)
        if isinstance(self.stem, ConvStem):
            return self.stem(blanked, own_statistics=self.masked_images_only)
        return self.stem(blanked, whole=False)


def patches_to_pixels(pixel_values: Tensor, patch_size: int) -> Tensor:
    """Cuts images (R, C, S, S) into the pixels of their patches (R, N, C·p·p), row by row."""
    rows, channels, side, _ = pixel_values.shape
    grid = side // patch_size
    cut = pixel_values.reshape(rows, channels, grid, patch_size, grid, patch_size)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(rows, grid * grid, channels * patch_size**2)


def pixels_to_images(patches: Tensor, patch_size: int) -> Tensor:
    """Puts the pixels of patches (R, N, C·p·p) together again: images (R, C, S, S)."""
    grid = math.isqrt(patches.shape[1])
    parts = patches.unflatten(2, (-1, patch_size, patch_size)).unflatten(1, (grid, grid))
    return parts.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def resample_positions(position: Tensor, grid: int) -> Tensor:
    """Position embeddings for another number of patches, as transformers does for ViTs.

    Bicubic, in float32; the embedding of [CLS] stays as it is.

    Args:
        position: (1, 1 + n², D), [CLS] first, then n × n patches row by row.
        grid: Patches along a side that are wanted.

    Returns:
        (1, 1 + grid², D).
    """
    first, patches = position[:, :1], position[:, 1:]
    side = math.isqrt(patches.shape[1])
    if side == grid:
        return position
    square = patches.unflatten(1, (side, side)).permute(0, 3, 1, 2).float()
    square = interpolate(square, (grid, grid), mode="bicubic", align_corners=False)
    return torch.cat([first, square.flatten(2).transpose(1, 2).to(first.dtype)], dim=1)
