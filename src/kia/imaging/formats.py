"""Decodes PNG and JPEG to grey, and what Pillow has decoded already."""

import logging
import threading
import warnings
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFile, ImageOps

from kia.errors import ImageError
from kia.imaging.deep import deep_picture
from kia.imaging.grey import MAX_PIXELS, Picture, colour_doubts, refuse_large

logging.getLogger("PIL").setLevel(logging.INFO)  # below, it quotes what a file says in words
_OPENING = threading.Lock()  # warning filters are shared by all threads
_HALVES = {
    "RGB;16B": ("RGB;16B", "RGB;16L"),
    "RGBA;16B": ("RGBA;16B", "RGBA;16L"),
    "LA;16B": ("RGBA",),
}
"""Ways to unpack PNGs of 16-bit channels, of which Pillow keeps 8 bits: as the upper bytes, then as
those which would be the upper ones in the other order; or as four channels of 8 bits."""
_STRIP = 256  # rows that are copied at a time
_ORIENTATION = 0x0112  # of EXIF


def decode_picture(file: BinaryIO, max_pixels: int) -> Picture:
    """Decode one picture.

    Args:
        file: At its start.
        max_pixels: Refuse pictures with more, before decoding.

    Raises:
        ImageError: It is too large, or of another format.
    """
    picture = _opened_picture(file)
    refuse_large(picture.width, picture.height, max_pixels)
    if picture.format == "PNG":  # Pillow decodes without a look at the checksums
        packing = picture.tile[0][3] if picture.tile else None
        picture.verify()
        if packing in _HALVES:
            return deep_picture(_sixteen_bits(file, packing), picture.info.get("transparency"))
        picture = _opened_picture(file)
    return pillow_picture(picture, max_pixels)


def pillow_picture(picture: Image.Image, max_pixels: int = MAX_PIXELS) -> Picture:
    """The grey values of a picture that Pillow holds, or has opened.

    Args:
        picture: Of any mode, turned as its EXIF says; it is not changed.
        max_pixels: Refuse pictures with more, before decoding.

    Raises:
        ImageError: It is too large.
    """
    refuse_large(picture.width, picture.height, max_pixels)
    picture.load()
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        return deep_picture(np.array(picture), picture.info.get("transparency"))
    doubts = colour_doubts(picture)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode == "P" or picture.mode.endswith(("A", "a")) or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = ImageChops.multiply(picture.convert("L"), picture.getchannel("A"))
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    return Picture(np.array(picture.convert("L")), doubts)


def _opened_picture(file: BinaryIO) -> ImageFile.ImageFile:
    file.seek(0)
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning
            return Image.open(file, formats=("PNG", "JPEG"))
    except Image.UnidentifiedImageError:
        raise ImageError("not a PNG, JPEG or DICOM image") from None


def _sixteen_bits(file: BinaryIO, packing: str) -> npt.NDArray[np.uint16]:
    """(H, W, C) of a PNG with C channels of 16 bits, from one or two rounds of decoding."""
    values: Any = None
    for half, unpacked in enumerate(_HALVES[packing]):
        picture = _opened_picture(file)
        tile: Any = (*picture.tile[0][:3], unpacked)
        picture.tile = [tile]
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        width, height = picture.size
        if values is None:
            values = np.empty((height, width, packing.index(";"), 2), np.uint8)
        for top in range(0, height, _STRIP):
            strip = np.asarray(picture.crop((0, top, width, min(top + _STRIP, height))))
            rows = values[top : top + _STRIP]
            if unpacked == packing or half:
                rows[..., half] = strip
            else:
                rows[...] = strip.reshape(rows.shape)
    return values.view(">u2")[..., 0]
