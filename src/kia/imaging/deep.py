"""Pictures of more than 8 bits a channel, whose range nobody tells: to grey."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from kia.imaging.grey import Doubt, Picture, colour_doubts, luma, stretch_most

OPAQUE = 65535
"""An alpha channel of 16 bits that hides nothing."""
_SAMPLE = 256  # rows and columns that tell whether a picture is coloured


def deep_picture(values: npt.NDArray[Any], transparent: Any = None) -> Picture:
    """Stretch a picture to grey values 0…255 (see `kia.imaging.grey.stretch_most`).

    Args:
        values: (H, W) or (H, W, C) of any range; C is 1 grey, 2 grey and alpha, 3 red, green and
            blue, or 4 with alpha. Alpha is of 16 bits; what it hides is black, and no part of the
            range.
        transparent: The grey value, or the three of a colour, that is transparent too.

    Raises:
        ImageError: There are values that are not finite.
    """
    channels = values[..., None] if values.ndim == 2 else values
    colour = channels.shape[2] > 2
    grey = luma(channels) if colour else channels[..., 0].astype(np.float32)
    if channels.shape[2] in (2, 4):
        alpha = channels[..., -1]
        grey *= alpha / np.float32(OPAQUE)
        grey[alpha == 0] = np.nan
    if transparent is not None:
        grey[(channels == transparent).all(axis=2)] = np.nan
    doubts = _deep_colour(channels[..., :3]) if colour else ()
    shown, odd = stretch_most(grey)
    return Picture(shown, (*doubts, *odd))


def _deep_colour(colours: npt.NDArray[Any]) -> tuple[Doubt, ...]:
    down, right = (-(-side // _SAMPLE) for side in colours.shape[:2])
    sample, _ = stretch_most(colours[::down, ::right].astype(np.float32))
    return colour_doubts(Image.fromarray(sample.astype(np.uint8)))
