"""What all readers of pictures share: grey values, their limits, and doubts about a picture.

Air is dark and bone is bright whatever the file says it stores. Grey values lie in 0…255:
8-bit files keep theirs (uint8); deeper ones (16-bit PNG, DICOM) are stretched from their lowest
to their highest value (float32).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from kia.errors import ImageError

Grey = npt.NDArray[np.uint8] | npt.NDArray[np.float32]

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded (the largest detectors have 25 million)."""
MAX_BYTES = 1 << 28
"""Larger files are refused before they are read (100 million pixels of 16 bits fit)."""
COLOUR = 10
"""Mean difference between the channels of a colour picture, of 255; sensors' tints have less."""
FEW = 2
"""Per cent of the pixels, on either side, that may be so far off that they do not count."""

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow
_SAMPLE = 1 << 18  # pixels that tell how grey values are spread


class Doubt(NamedTuple):
    """Why a file that can be read may not be a chest X-ray.

    Attributes:
        kind: "modality", "body part", "colour" or "grey values".
        why: One line, without any text from the file's header.
    """

    kind: str
    why: str


class Picture(NamedTuple):
    """A decoded picture.

    Attributes:
        grey: (H, W), 0…255; uint8, or float32 of deeper ones.
        doubts: Why it may not be a chest X-ray.
        aspect: Width of a pixel over its height.
    """

    grey: Grey
    doubts: tuple[Doubt, ...] = ()
    aspect: float = 1.0


def refuse_large(width: int, height: int, max_pixels: int) -> None:
    """ImageError for an image without pixels, or with more than are allowed."""
    if width < 1 or height < 1:
        raise ImageError(f"empty image ({width} × {height})")
    if width * height > max_pixels:
        raise ImageError(f"{width} × {height} pixels, more than the {max_pixels:,} allowed")


def stretch(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Lowest value → 0, highest → 255, not a number (padding) → 0; in place, to save memory.

    A constant image becomes black.
    """
    return _stretched(grey, *_range(grey))


def stretch_most(
    grey: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], tuple[Doubt, ...]]:
    """As `stretch`, unless a few pixels far from all others take most of the range.

    A mark burned in at 65535 would leave a picture of 12 bits 16 grey values. Pixels do not count
    if they lie further from the middle 96 % (`FEW`) than the spread of these, and would take more
    than two thirds of the range; they become black or white. Where nothing is so far off nothing
    changes: of 8,805 chest X-rays measured (IU X-Ray, NIH and Hannover, of 8 bits) none would keep
    less than 58 % of its range.

    Returns:
        The picture; and a doubt if there were such pixels.
    """
    low, high = _range(grey)
    most = _range_of_most(grey, low, high)
    if most is None:
        return _stretched(grey, low, high), ()
    why = "a few pixels are so dark or bright that they were cut off: burned-in marks, or damage?"
    return _stretched(grey, *most), (Doubt("grey values", why),)


def _range(grey: npt.NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.fmin.reduce(grey, axis=None), np.fmax.reduce(grey, axis=None)
    if np.isinf(low) or np.isinf(high):
        raise ImageError("grey values that are not finite")
    return low, high


def _range_of_most(
    grey: npt.NDArray[np.float32], low: float, high: float
) -> tuple[float, float] | None:
    """Lowest and highest value without the few that are far off; None if these take little."""
    step = int(np.ceil(np.sqrt(grey.size / _SAMPLE)))
    sample = grey[::step, ::step]
    sample = sample[~np.isnan(sample)]
    if not len(sample):
        return None
    first, last = np.percentile(sample, (FEW, 100 - FEW))
    first, last = 2 * first - last, 2 * last - first
    near = sample[(sample >= first) & (sample <= last)]
    if not 0 < 3 * (near.max() - near.min()) < high - low:
        return None
    counted = (grey >= first) & (grey <= last)
    lowest = np.min(grey, where=counted, initial=np.float32(high))
    return float(lowest), float(np.max(grey, where=counted, initial=np.float32(low)))


def _stretched(grey: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.float32]:
    if not high > low:
        grey[:] = 0
        return grey
    grey -= low
    grey *= np.float32(255) / np.float32(high - low)
    np.clip(grey, 0, 255, out=grey)
    return np.nan_to_num(grey, copy=False, nan=0)


def luma(colours: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Red, green and blue (H, W, 3 or more) to grey, in the range they have."""
    grey = np.zeros(colours.shape[:2], np.float32)
    for channel, weight in enumerate(_LUMA):
        grey += np.float32(weight) * colours[..., channel]
    return grey


def colour_doubts(picture: Image.Image) -> tuple[Doubt, ...]:
    """A doubt about a picture of which more than a mark or a tint is coloured."""
    if picture.mode in ("1", "L", "LA", "La"):
        return ()
    small = picture.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    if np.ptp(np.asarray(small), axis=2).mean() <= COLOUR:
        return ()
    return (Doubt("colour", "no X-ray? The picture is coloured"),)
