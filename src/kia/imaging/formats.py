"""Decodes PNG and JPEG to grey."""

import logging
import threading
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageChops, ImageOps

from kia.errors import ImageError
from kia.imaging.grey import Doubt, Grey, colour_doubts, refuse_large, stretch

logging.getLogger("PIL").setLevel(logging.INFO)  # below, it quotes what a file says in words
_OPENING = threading.Lock()  # warning filters are shared by all threads


def decode_picture(file: BinaryIO, max_pixels: int) -> tuple[Grey, tuple[Doubt, ...]]:
    """Decode one picture.

    Args:
        file: At its start.
        max_pixels: Refuse pictures with more, before decoding.

    Returns:
        (H, W) of 0…255, uint8 or (deeper ones) float32; and why it may not be a chest X-ray.

    Raises:
        ImageError: It is too large, or of another format.
    """
    picture = _opened_picture(file)
    refuse_large(picture.width, picture.height, max_pixels)
    if picture.format == "PNG":  # Pillow decodes without a look at the checksums
        picture.verify()
        picture = _opened_picture(file)
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith(("I", "F")):
        return stretch(np.array(picture, np.float32)), ()
    doubts = colour_doubts(picture)
    if picture.mode == "P" or picture.mode.endswith(("A", "a")) or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = ImageChops.multiply(picture.convert("L"), picture.getchannel("A"))
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    return np.array(picture.convert("L")), doubts


def _opened_picture(file: BinaryIO) -> Image.Image:
    file.seek(0)
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning
            return Image.open(file, formats=("PNG", "JPEG"))
    except Image.UnidentifiedImageError:
        raise ImageError("not a PNG, JPEG or DICOM image") from None
