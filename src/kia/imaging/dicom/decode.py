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
from kia.imaging.dicom.header import doubts_of, pixel_aspect, quiet, read_header
from kia.imaging.dicom.lookup import has_range, shown_values
from kia.imaging.dicom.pixels import refuse_unreadable, stored_pixels
from kia.imaging.grey import Doubt, Picture, colour_doubts, luma, stretch, stretch_most


def decode_dicom(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode one image.

    Args:
        file: At its start.
        max_pixels: Refuse images with more pixels, before decoding.

    Raises:
        ImageError: It is damaged, too large, has several frames, or an unknown compression.
    """
    with quiet():
        try:
            dataset, syntax = read_header(file)
            refuse_unreadable(dataset, max_pixels)
            stored = stored_pixels(dataset, syntax)
            grey, odd = _grey(stored, dataset)
            doubts = (*doubts_of(dataset), *_colour(stored), *odd)
            return Picture(grey, doubts, pixel_aspect(dataset))
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # its text may quote the header
            kind = type(error).__name__
            raise ImageError(f"damaged DICOM file, cannot be decoded ({kind})") from None


def _grey(
    stored: npt.NDArray[Any], dataset: pydicom.Dataset
) -> tuple[npt.NDArray[np.float32], tuple[Doubt, ...]]:
    if stored.ndim == 3:
        return stretch(luma(stored)), ()
    # every stored value that can occur, instead of every pixel: 65,536 at most
    low, high = int(stored.min()), int(stored.max())
    shown = shown_values(np.arange(low, high + 1), dataset).astype(np.float32)
    grey = np.empty(stored.shape, np.float32)
    for row, line in zip(stored, grey, strict=True):
        line[:] = shown[row.astype(np.intp) - low]
    grey, odd = (stretch(grey), ()) if has_range(dataset) else stretch_most(grey)
    if not grey.any() and low < high:
        raise ImageError("the window or look-up table of the DICOM file leaves one grey value")
    return grey, odd


def _colour(stored: npt.NDArray[Any]) -> tuple[Doubt, ...]:
    if stored.ndim != 3:
        return ()
    if stored.dtype != np.uint8:
        stored = stretch(stored.astype(np.float32)).astype(np.uint8)
    return colour_doubts(Image.fromarray(stored))
