"""Decodes DICOM radiographs to grey, air dark and bone bright.

Stored values pass the modality LUT or rescale (PS3.3 C.11.1), then the first VOI LUT or window
(C.11.2); MONOCHROME1 is inverted, padding is black.
"""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image

from kia.errors import ImageError
from kia.imaging.dicom.header import doubts_of, quiet, read_header
from kia.imaging.dicom.lookup import shown_values
from kia.imaging.dicom.pixels import refuse_unreadable, stored_pixels
from kia.imaging.grey import Doubt, colour_doubts, stretch

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow


def decode_dicom(
    file: BinaryIO, max_pixels: int
) -> tuple[npt.NDArray[np.float32], tuple[Doubt, ...]]:
    """Decode one image.

    Args:
        file: At its start.
        max_pixels: Refuse images with more pixels, before decoding.

    Returns:
        float32 (H, W), 0…255; and why it may not be a chest X-ray.

    Raises:
        ImageError: It is damaged, too large, has several frames, or an unknown compression.
    """
    with quiet():
        try:
            dataset, syntax = read_header(file)
            refuse_unreadable(dataset, max_pixels)
            stored = stored_pixels(dataset, syntax)
            return _grey(stored, dataset), (*doubts_of(dataset), *_colour(stored))
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # its text may quote the header
            kind = type(error).__name__
            raise ImageError(f"damaged DICOM file, cannot be decoded ({kind})") from None


def _grey(stored: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.float32]:
    grey = np.zeros(stored.shape[:2], np.float32)
    if stored.ndim == 3:
        for channel, weight in enumerate(_LUMA):
            grey += np.float32(weight) * stored[..., channel]
        return stretch(grey)
    # every stored value that can occur, instead of every pixel: 65,536 at most
    low, high = int(stored.min()), int(stored.max())
    shown = shown_values(np.arange(low, high + 1), dataset).astype(np.float32)
    for row, line in zip(stored, grey, strict=True):
        line[:] = shown[row.astype(np.intp) - low]
    if not stretch(grey).any() and low < high:
        raise ImageError("the window or look-up table of the DICOM file leaves one grey value")
    return grey


def _colour(stored: npt.NDArray[Any]) -> tuple[Doubt, ...]:
    if stored.ndim != 3:
        return ()
    if stored.dtype != np.uint8:
        stored = stretch(stored.astype(np.float32)).astype(np.uint8)
    return colour_doubts(Image.fromarray(stored))
