"""Pictures in any form that Python holds them: files, arrays, tensors and Pillow's, to grey 0…255.

Values of arrays and tensors:

| values | are |
|---|---|
| uint8 | grey values |
| bool | black and white |
| floats in 0…1 | grey values, of 1 |
| floats, or integers of 32 or 64 bits, in 0…255 | grey values |
| uint16, int16, int8, and whatever lies beyond | of any range: stretched as a 16-bit PNG is |
"""

from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from kia.errors import ImageError
from kia.imaging.deep import deep_picture
from kia.imaging.formats import pillow_picture
from kia.imaging.grey import MAX_PIXELS, Picture, refuse_large
from kia.imaging.reading import read_doubtful

_OVERSHOOT = 2  # resampling carries a picture in 0…1 beyond its ends; in 0…255 it would be black
SHAPES = "(H, W), (1, H, W), (H, W, 1), or colour: (H, W, 3), (3, H, W), with alpha (H, W, 4)"


def any_picture(image: Any, name: str) -> Picture:
    """Read a picture in any form.

    Args:
        image: A path, the content of a file, a file opened in binary mode, or what
            `array_picture` takes.
        name: What to call it in errors, if it has no path.

    Raises:
        ImageError: It cannot be read.
    """
    if isinstance(image, str | Path):
        return read_doubtful(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return read_doubtful(bytes(image), name=name)
    if hasattr(image, "read") and not isinstance(image, Image.Image):
        return read_doubtful(image, name=name)
    return array_picture(image, name)


def is_rows(image: Any) -> bool:
    """Whether a list holds the rows of one picture, as numbers."""
    for _ in range(2):
        if not (isinstance(image, list | tuple) and image):
            return False
        image = image[0]
    return isinstance(image, Number)


def array_picture(image: Any, name: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """The grey values of an array, a tensor, or a picture that Pillow holds.

    Args:
        image: An array or tensor of one picture, of a shape in `SHAPES`; a list of rows; or an
            image of Pillow, of any mode, turned as its EXIF says. It is not changed.
        name: What to call it in errors.
        max_pixels: Refuse pictures with more.

    Raises:
        ImageError: It is none of these, has no pixels or too many, or values that are not finite.
    """
    try:
        if isinstance(image, Image.Image):
            return _of_pillow(image, max_pixels)
        return _of_array(_as_array(image), max_pixels)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except MemoryError:
        raise ImageError(f"{name}: needs too much memory") from None
    except Exception as error:  # Pillow and whatever makes arrays raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: cannot be read ({reason[:200]})") from error


def _of_pillow(image: Image.Image, max_pixels: int) -> Picture:
    if image.mode not in ("I", "F"):
        return pillow_picture(image, max_pixels)
    return _of_array(np.array(ImageOps.exif_transpose(image)), max_pixels)


def _as_array(image: Any) -> npt.NDArray[Any]:
    if hasattr(image, "detach"):  # a tensor of torch, which is not imported here
        image = image.detach().cpu()
        image = image.float().numpy() if image.is_floating_point() else image.numpy()
    if not isinstance(image, list | tuple) and not hasattr(image, "__array__"):
        raise ImageError(
            f"no image but {type(image).__name__}: give a path, the bytes of a file, an array, or "
            "an image of Pillow"
        )
    if isinstance(image, np.ma.MaskedArray):
        raise ImageError("a masked array: fill it, for example with .filled(0)")
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise ImageError(f"an image array must hold numbers, not {array.dtype}")
    return array


def _of_array(array: npt.NDArray[Any], max_pixels: int) -> Picture:
    array = _channels_last(array)
    refuse_large(array.shape[1], array.shape[0], max_pixels)
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    if array.dtype == np.uint8:
        return _of_bytes(array)
    if array.dtype.kind != "f" and array.dtype.itemsize <= 2:
        return _of_any_range(array)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite((low, high)).all():
        raise ImageError("not a number, or infinite, among its values: see np.nan_to_num")
    if array.dtype.kind == "f" and low >= 0 and high < _OVERSHOOT:
        if high > 1:
            return _of_any_range(array)
        array = array.astype(np.float32) * np.float32(255)
    elif low < 0 or high > 255:
        return _of_any_range(array)
    if array.ndim == 2:
        return Picture(array.astype(np.float32, copy=False))
    return _of_bytes(np.rint(array).astype(np.uint8))


def _channels_last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(H, W) of grey, or (H, W, C) of 2 to 4 channels."""
    if array.ndim == 3 and array.shape[2] > 4 and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2 and not (array.ndim == 3 and 2 <= array.shape[2] <= 4):
        raise ImageError(f"an image array must be {SHAPES}, not of shape {array.shape}")
    return array


def _of_bytes(array: npt.NDArray[np.uint8]) -> Picture:
    """Colour goes the way of a colour PNG."""
    if array.ndim == 2:
        return Picture(array)
    height, width, channels = array.shape
    mode = ("", "", "LA", "RGB", "RGBA")[channels]
    return pillow_picture(Image.frombytes(mode, (width, height), array.tobytes()))


def _of_any_range(array: npt.NDArray[Any]) -> Picture:
    if array.ndim == 3 and array.shape[2] != 3 and array.dtype != np.uint16:
        raise ImageError(f"an alpha channel of {array.dtype} and any range: leave it out")
    return deep_picture(array)
