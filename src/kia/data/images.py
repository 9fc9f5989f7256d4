"""Reads chest X-rays (PNG, JPEG, DICOM) as 2-D grey arrays, and makes them square.

Air is dark and bone is bright whatever the file says it stores. Grey values lie in 0…255:
8-bit files keep theirs (uint8); deeper ones (16-bit PNG, DICOM) are stretched from their lowest
to their highest value (float32). `kia.data.dicom` says what comes before that in DICOM files.
"""

import io
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageOps

from kia.errors import ImageError

Grey = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Resize = Literal["squash", "pad"]

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded (the largest detectors have 25 million)."""
MAX_BYTES = 1 << 28
"""Larger files are refused before they are read (100 million pixels of 16 bits fit)."""
COLOUR = 10
"""Mean difference between the channels of a colour picture, of 255; sensors' tints have less."""
_OPENING = threading.Lock()  # warning filters are shared by all threads


class ImageWarning(UserWarning):
    """An image can be read, but may not be a chest X-ray; the message names the file."""


class Doubt(NamedTuple):
    """Why a file that can be read may not be a chest X-ray.

    Attributes:
        kind: "modality", "body part" or "colour".
        why: One line, without any text from the file's header.
    """

    kind: str
    why: str


def read_image(
    source: str | Path | bytes | BinaryIO, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Grey:
    """Decode an image to grey, in this process.

    GDCM, which reads JPEG lossless and JPEG-LS in DICOM, may crash on damaged data;
    `kia.data.decoding` does this in processes that may.

    Warns (`ImageWarning`) of colour pictures, and of DICOM files that are not radiographs, or not
    of the chest.

    Args:
        source: A path, the bytes of a file, or a file opened in binary mode.
        name: What to call the image in errors; the path if there is one.
        max_pixels: Refuse images with more pixels, before decoding.

    Returns:
        (H, W), uint8 or float32, 0…255.

    Raises:
        ImageError: It is missing, too large, damaged, or of another format; one line, without any
            text from the file's header.
    """
    grey, doubts = read_doubtful(source, name=name, max_pixels=max_pixels)
    for doubt in doubts:
        warnings.warn(f"{_name(source, name)}: {doubt.why}", ImageWarning, stacklevel=2)
    return grey


def read_doubtful(
    source: str | Path | bytes | BinaryIO, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[Grey, tuple[Doubt, ...]]:
    """What `read_image` gives, and what it warns of."""
    name = _name(source, name)
    try:
        with _opened(source) as file:
            return _decode(file, name, max_pixels)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"{name}: no such image") from None
    except MemoryError:
        raise ImageError(f"{name}: needs too much memory to decode") from None
    except Exception as error:  # decoders raise anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: cannot be decoded ({reason[:200]})") from error


def resize_square(image: Grey, size: int, mode: Resize = "squash") -> npt.NDArray[np.uint8]:
    """Resample an image to a square (bicubic, anti-aliased).

    Args:
        image: (H, W) grey, 0…255.
        size: Side S in pixels.
        mode: "squash" stretches both sides to S; "pad" keeps the proportions and adds black.

    Returns:
        uint8 (S, S).
    """
    if mode not in ("squash", "pad"):
        raise ValueError(f"resize mode {mode!r}: use squash or pad")
    height, width = image.shape
    if mode == "squash":
        return _resample(image, size, size)
    scale = size / max(height, width)
    inner_h, inner_w = (max(1, round(side * scale)) for side in (height, width))
    top, left = (size - inner_h) // 2, (size - inner_w) // 2
    square = np.zeros((size, size), np.uint8)
    square[top : top + inner_h, left : left + inner_w] = _resample(image, inner_h, inner_w)
    return square


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


@contextmanager
def _opened(source: str | Path | bytes | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, str | Path):
        if not stat.S_ISREG(Path(source).stat().st_mode):  # a pipe would never end
            raise ImageError("cannot be decoded (not a file)")
        with Path(source).open("rb") as file:
            yield file
    else:
        yield io.BytesIO(source if isinstance(source, bytes) else source.read(MAX_BYTES + 1))


def _name(source: str | Path | bytes | BinaryIO, name: str | None) -> str:
    return name or (str(source) if isinstance(source, str | Path) else "image")


def _decode(file: BinaryIO, name: str, max_pixels: int) -> tuple[Grey, tuple[Doubt, ...]]:
    if file.seek(0, os.SEEK_END) > MAX_BYTES:
        raise ImageError(f"file larger than {MAX_BYTES >> 20} MiB")
    file.seek(0)
    magic = file.read(132)[128:]
    file.seek(0)
    if magic != b"DICM" and not name.lower().endswith((".dcm", ".dicom")):
        return _decode_picture(file, max_pixels)
    from kia.data.dicom import decode_dicom

    return decode_dicom(file, max_pixels)


def _decode_picture(file: BinaryIO, max_pixels: int) -> tuple[Grey, tuple[Doubt, ...]]:
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


def colour_doubts(picture: Image.Image) -> tuple[Doubt, ...]:
    """A doubt about a picture of which more than a mark or a tint is coloured."""
    if picture.mode in ("1", "L", "LA", "La"):
        return ()
    small = picture.convert("RGB").resize((64, 64), Image.Resampling.BOX)
    if np.ptp(np.asarray(small), axis=2).mean() <= COLOUR:
        return ()
    return (Doubt("colour", "no X-ray? The picture is coloured"),)


def _opened_picture(file: BinaryIO) -> Image.Image:
    file.seek(0)
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning
            return Image.open(file, formats=("PNG", "JPEG"))
    except Image.UnidentifiedImageError:
        raise ImageError("not a PNG, JPEG or DICOM image") from None
