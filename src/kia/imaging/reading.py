"""Reads one picture, whatever its format: a file to 2-D grey values and doubts, or its facts."""

import io
import os
import stat
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kia.errors import ImageError
from kia.imaging.facts import UNKNOWN, Facts
from kia.imaging.formats import decode_picture
from kia.imaging.grey import MAX_BYTES, MAX_PIXELS, Doubt, Grey, Picture
from kia.imaging.signatures import HEAD, kind_of


class ImageWarning(UserWarning):
    """An image can be read, but may not be a chest X-ray; the message names the file."""


def read_facts(source: str | Path | bytes, *, name: str | None = None) -> Facts:
    """What a file says of its picture, of which no pixels are read.

    pydicom, which takes 0.4 s to import, is loaded for DICOM files alone.

    Args:
        source: A path, or the bytes of a file.
        name: Counts where the bytes do not say what the file is; the path if there is one.

    Returns:
        `UNKNOWN` for what is no file, or cannot be opened.
    """
    try:
        with _opened(source) as file:
            kind = kind_of(file.read(HEAD), _name(source, name))
            file.seek(0)
            if kind != "dicom":
                return Facts(kind)
            from kia.imaging.dicom.facts import dicom_facts

            return dicom_facts(file)
    except (OSError, ValueError, ImageError):  # the decoder will say what it is
        return UNKNOWN


def read_image(
    source: str | Path | bytes | BinaryIO, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Grey:
    """Decode an image to grey, in this process.

    GDCM, which reads JPEG lossless and JPEG-LS in DICOM, may crash on damaged data;
    `kia.imaging.workers` does this in processes that may.

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
    picture = read_doubtful(source, name=name, max_pixels=max_pixels)
    warn_of(picture.doubts, _name(source, name))
    return picture.grey


def warn_of(doubts: Iterable[Doubt], name: str) -> None:
    """An `ImageWarning` for each doubt, as if from where the caller was called."""
    for doubt in doubts:
        warnings.warn(f"{name}: {doubt.why}", ImageWarning, stacklevel=3)


def read_doubtful(
    source: str | Path | bytes | BinaryIO, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Picture:
    """What `read_image` gives, what it warns of, and the shape of the pixels."""
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


def _decode(file: BinaryIO, name: str, max_pixels: int) -> Picture:
    if file.seek(0, os.SEEK_END) > MAX_BYTES:
        raise ImageError(f"file larger than {MAX_BYTES >> 20} MiB")
    file.seek(0)
    kind = kind_of(file.read(HEAD), name)
    file.seek(0)
    if kind != "dicom":
        return decode_picture(file, max_pixels)
    from kia.imaging.dicom.decode import decode_dicom

    return decode_dicom(file, max_pixels)
