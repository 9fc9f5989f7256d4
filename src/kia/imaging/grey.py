"""What all readers of pictures share: grey values, their limits, and doubts about a picture.

Air is dark and bone is bright whatever the file says it stores. Grey values lie in 0…255:
8-bit files keep theirs (uint8); deeper ones (16-bit PNG, DICOM) are stretched from their lowest
to their highest value (float32).
"""

from typing import NamedTuple

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


class Doubt(NamedTuple):
    """Why a file that can be read may not be a chest X-ray.

    Attributes:
        kind: "modality", "body part" or "colour".
        why: One line, without any text from the file's header.
    """

    kind: str
    why: str


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
    low, high = np.fmin.reduce(grey, axis=None), np.fmax.reduce(grey, axis=None)
    if np.isinf(low) or np.isinf(high):
        raise ImageError("grey values that are not finite")
    if not high > low:
        grey[:] = 0
        return grey
    grey -= low
    grey *= np.float32(255) / np.float32(high - low)
    np.clip(grey, 0, 255, out=grey)
    return np.nan_to_num(grey, copy=False, nan=0)


def colour_doubts(picture: Image.Image) -> tuple[Doubt, ...]:
    """A doubt about a picture of which more than a mark or a tint is coloured."""
    if picture.mode in ("1", "L", "LA", "La"):
        return ()
    small = picture.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    if np.ptp(np.asarray(small), axis=2).mean() <= COLOUR:
        return ()
    return (Doubt("colour", "no X-ray? The picture is coloured"),)
