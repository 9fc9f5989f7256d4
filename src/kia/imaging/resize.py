"""Makes pictures square: the one resize path of preparation and use (ADR 0003)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from kia.imaging.grey import Grey, Picture

Resize = Literal["squash", "pad"]


def resize_square(
    image: Grey, size: int, mode: Resize = "squash", aspect: float = 1.0
) -> npt.NDArray[np.uint8]:
    """Resample an image to a square (bicubic, anti-aliased).

    Args:
        image: (H, W) grey, 0…255.
        size: Side S in pixels.
        mode: "squash" stretches both sides to S; "pad" keeps the proportions and adds black.
        aspect: Width of a pixel over its height; "pad" makes pixels square.

    Returns:
        uint8 (S, S).
    """
    if mode not in ("squash", "pad"):
        raise ValueError(f"resize mode {mode!r}: use squash or pad")
    if mode == "squash":
        return _resample(image, size, size)
    height, width = _square_pixels(image.shape, aspect)
    scale = size / max(height, width)
    inner_h, inner_w = (max(1, round(side * scale)) for side in (height, width))
    top, left = (size - inner_h) // 2, (size - inner_w) // 2
    square = np.zeros((size, size), np.uint8)
    square[top : top + inner_h, left : left + inner_w] = _resample(image, inner_h, inner_w)
    return square


def shape_of(picture: Picture) -> tuple[int, int]:
    """Height and width of a picture as it would have them if its pixels were square."""
    height, width = _square_pixels(picture.grey.shape, picture.aspect)
    return round(height), round(width)


def _square_pixels(shape: Sequence[int], aspect: float) -> tuple[float, float]:
    """Counted in the longer side of the pixels, so that none are made up."""
    height, width = shape
    return (height / aspect, width) if aspect > 1 else (height, width * aspect)


def _resample(image: Grey, height: int, width: int) -> npt.NDArray[np.uint8]:
    if image.shape == (height, width):
        resized = image
    else:
        if image.dtype != np.uint8:
            image = image.astype(np.float32, copy=False)
        picture = Image.fromarray(np.ascontiguousarray(image))
        resized = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    if resized.dtype == np.uint8:
        return np.array(resized)
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)
