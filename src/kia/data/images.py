"""Reads chest X-rays (PNG, JPEG, DICOM) as 2-D grey arrays, and makes them square.

Air is dark and bone is bright whatever the file says it stores. Grey values lie in 0…255:
8-bit files keep theirs (uint8); deeper ones (16-bit PNG, DICOM) are stretched from their lowest
to their highest value (float32), DICOM after its modality and VOI look-up tables or window.
"""

import io
import threading
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from kia.errors import ImageError

Grey = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Resize = Literal["squash", "pad"]

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded (the largest detectors have 25 million)."""
MAX_BYTES = 1 << 29
"""Larger files are refused before they are read."""
_OPENING = threading.Lock()  # warning filters are shared by all threads
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def read_image(
    source: str | Path | bytes | BinaryIO, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> Grey:
    """Decode an image to grey.

    Args:
        source: A path, the bytes of a file, or a file opened in binary mode.
        name: What to call the image in errors; the path if there is one.
        max_pixels: Refuse images with more pixels, before decoding.

    Returns:
        (H, W), uint8 or float32, 0…255.

    Raises:
        ImageError: It is missing, too large, damaged, or of another format; one line.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "image")
    try:
        data = _read_bytes(source)
        if len(data) > MAX_BYTES:
            raise ImageError(f"{name}: file larger than {MAX_BYTES >> 20} MiB")
        if data[128:132] == b"DICM" or name.lower().endswith((".dcm", ".dicom")):
            return _decode_dicom(data, name, max_pixels)
        return _decode_picture(data, name, max_pixels)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such image") from None
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


def _resample(image: Grey, height: int, width: int) -> npt.NDArray[np.uint8]:
    if image.shape == (height, width):
        resized = image
    else:
        if image.dtype != np.uint8:
            image = image.astype(np.float32)
        picture = Image.fromarray(np.ascontiguousarray(image))
        resized = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    if resized.dtype == np.uint8:
        return np.array(resized)
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)


def _read_bytes(source: str | Path | bytes | BinaryIO) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    return source.read(MAX_BYTES + 1)


def _decode_picture(data: bytes, name: str, max_pixels: int) -> Grey:
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning; ours follows
            picture: Image.Image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name}: not a PNG, JPEG or DICOM image") from None
    _refuse_large(picture.width, picture.height, name, max_pixels)
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        return _stretch(np.asarray(picture).astype(np.float32))
    if picture.mode == "P" or picture.mode.endswith(("A", "a")) or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture).convert("RGB")
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")
    return np.array(picture.convert("L"))


def _decode_dicom(data: bytes, name: str, max_pixels: int) -> Grey:
    import pydicom
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    if _DEFLATED in data[:2048]:
        raise ImageError(f"{name}: deflated DICOM is not supported; convert it first")
    warnings.filterwarnings("ignore", module=r"pydicom\.")  # odd but harmless headers
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        raise ImageError(f"{name}: the DICOM file holds no image")
    _refuse_large(int(dataset.Columns), int(dataset.Rows), name, max_pixels)
    if (frames := int(dataset.get("NumberOfFrames", 1) or 1)) > 1:
        raise ImageError(f"{name}: DICOM with {frames} frames, a single image is needed")
    stored = dataset.pixel_array
    if stored.ndim == 3:
        return np.array(Image.fromarray(_stretch(stored).astype(np.uint8)).convert("L"))
    shown = apply_voi_lut(apply_modality_lut(stored, dataset), dataset).astype(np.float32)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        shown = shown.max() - shown
    return _stretch(shown, _padding(dataset, stored))


def _padding(dataset: Any, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Pixels outside the exposed field, which would spoil the range of grey values."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    last = dataset.get("PixelPaddingRangeLimit", value)
    return (stored >= min(value, last)) & (stored <= max(value, last))


def _stretch(
    values: npt.NDArray[Any], padding: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float32]:
    """Lowest value → 0, highest → 255; padding → 0."""
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("grey values that are not finite")
    inside = values if padding is None or padding.all() else values[~padding]
    low, high = float(inside.min()), float(inside.max())
    if high <= low:
        return np.zeros(values.shape, np.float32)
    scaled = np.clip((values - low) * (255.0 / (high - low)), 0, 255)
    if padding is not None:
        scaled[padding] = 0
    return scaled.astype(np.float32)


def _refuse_large(width: int, height: int, name: str, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{name}: empty image ({width} × {height})")
    if width * height > max_pixels:
        raise ImageError(f"{name}: {width} × {height} pixels, more than the {max_pixels:,} allowed")
