"""Decodes DICOM radiographs to grey, air dark and bone bright.

Stored values pass the modality LUT or rescale (PS3.3 C.11.1), then the first VOI LUT or window
(C.11.2); MONOCHROME1 is inverted, padding is black. Headers hold the names of patients: only the
elements below are read, and no text of theirs gets into a message.
"""

import io
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import gdcm
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_color_lut, get_decoder

from kia.data.images import MAX_BYTES, Doubt, colour_doubts, refuse_large, stretch
from kia.data.views import view_named
from kia.errors import ImageError
from kia.studies import View

RADIOGRAPHS = ("CR", "DX", "DR", "RG")
"""Values of Modality that need no warning."""
CHEST = ("CHEST", "THORAX", "TORAX")
"""A BodyPartExamined that holds one of these needs no warning."""

_ELEMENTS = (
    *("Modality", "BodyPartExamined", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", "LUTDescriptor", "LUTData"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelData"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
)
_TAGS: list[Any] = [pydicom.tag.Tag(name) for name in _ELEMENTS]
_STUDY_ELEMENTS = ("StudyInstanceUID", "ViewPosition")
_STUDY_TAGS: list[Any] = [pydicom.tag.Tag(name) for name in _STUDY_ELEMENTS]
_PILLOW = (uid.JPEG2000, uid.JPEG2000Lossless, uid.JPEGBaseline8Bit)
# Pillow takes less memory than GDCM, and its decoders see more tests; GDCM reads the others.
_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow
_FRAME_HEADERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_READING = threading.Lock()  # warning filters and loggers are shared by all threads

for _off in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
    _off()


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
    with _quiet():
        try:
            dataset, syntax = _read(file)
            _refuse(dataset, max_pixels)
            stored = _stored(dataset, syntax)
            return _grey(stored, dataset), (*_doubts(dataset), *_colour(stored))
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # its text may quote the header
            kind = type(error).__name__
            raise ImageError(f"damaged DICOM file, cannot be decoded ({kind})") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """pydicom quotes odd headers in warnings and in its log."""
    logger = logging.getLogger("pydicom")
    with _READING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        propagate, logger.propagate = logger.propagate, False
        try:
            yield
        finally:
            logger.propagate = propagate


def study_and_view(path: Path) -> tuple[str | None, View | None]:
    """StudyInstanceUID and the view that View Position names; None where a file does not say.

    Pixels are not read. A file that is missing, damaged or no DICOM file says neither.
    """
    try:
        with path.open("rb") as file, _quiet():
            if file.read(132)[128:] != b"DICM":
                return None, None
            file.seek(0)
            dataset, _ = _read(file, _STUDY_TAGS)
            study, view = (str(dataset.get(name) or "") for name in _STUDY_ELEMENTS)
    except Exception:  # pydicom raises anything on damaged files; the decoder will say what it is
        return None, None
    return study.strip() or None, view_named(view)


def _read(file: BinaryIO, tags: Sequence[Any] = _TAGS) -> tuple[pydicom.Dataset, uid.UID]:
    """The elements that are needed, and the transfer syntax."""
    read_preamble(file, force=True)
    meta = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2
    )
    syntax = meta.get("TransferSyntaxUID")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflate.decompress(file.read(), MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ImageError(f"DICOM file that unpacks to more than {MAX_BYTES >> 20} MiB")
        body = read_dataset(io.BytesIO(content), False, True, specific_tags=list(tags))
        return body, uid.ExplicitVRLittleEndian
    file.seek(0)
    dataset = pydicom.dcmread(file, force=True, specific_tags=list(tags))
    if syntax is None:
        little = dataset.original_encoding[1]
        syntax = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    return dataset, syntax


def _refuse(dataset: pydicom.Dataset, max_pixels: int) -> None:
    if any(name not in dataset for name in ("PixelData", "Rows", "Columns")):
        raise ImageError("the DICOM file holds no image")
    refuse_large(int(dataset.Columns), int(dataset.Rows), max_pixels)
    if (frames := int(dataset.get("NumberOfFrames") or 1)) > 1:
        raise ImageError(f"DICOM with {frames} frames, a single image is needed")
    if (bits := int(dataset.BitsAllocated)) > 16:
        raise ImageError(f"DICOM with {bits} bits a pixel; radiographs have at most 16")


def _stored(dataset: pydicom.Dataset, syntax: uid.UID) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3) as stored."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError("DICOM with a compression that is not supported") from None
    if decoder.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        _refuse_other_size(frame, dataset, syntax)
    plugin = "pillow" if syntax in _PILLOW else ""
    stored, _ = decoder.as_array(dataset, index=0, decoding_plugin=plugin)
    del dataset.PixelData  # memory
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(stored, dataset)
    return stored


def _refuse_other_size(frame: bytes, dataset: pydicom.Dataset, syntax: uid.UID) -> None:
    """A compressed image says how large it is itself; decoders believe it, not the header."""
    samples = int(dataset.SamplesPerPixel)
    expected = int(dataset.Columns), int(dataset.Rows), samples
    if syntax == uid.RLELossless:
        if len(frame) > 2 * expected[0] * expected[1] * samples * 2 + 1024:
            raise ImageError("damaged DICOM file: more compressed data than the image can have")
        return
    declared = _size_in_jpeg_2000(frame) if "2000" in syntax.name else _size_in_jpeg(frame)
    if declared != expected:
        raise ImageError(
            "damaged DICOM file: the compressed image is {} × {} × {}, the header says "
            "{} × {} × {}".format(*declared, *expected)
        )


def _size_in_jpeg(frame: bytes) -> tuple[int, int, int]:
    """Width, height and components that the frame header of JPEG or JPEG-LS states."""
    position = 2
    while position + 10 <= len(frame):
        marker = frame[position + 1]
        if frame[position] != 0xFF:
            break
        if marker == 0xFF:  # fill
            position += 1
            continue
        if marker in _FRAME_HEADERS or marker == 0xF7:
            height, width, components = struct.unpack_from(">HHB", frame, position + 5)
            return width, height, components
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    raise ImageError("damaged DICOM file: no frame header in the compressed image")


def _size_in_jpeg_2000(frame: bytes) -> tuple[int, int, int]:
    """Width, height and components of a codestream (SIZ), bare or in the boxes of JP2."""
    position = 0
    while frame[position : position + 4] != b"\xff\x4f\xff\x51":
        length, kind = struct.unpack_from(">I4s", frame, position)
        position += 8 if kind == b"jp2c" else max(length, 8)
    right, bottom, left, top = struct.unpack_from(">4I", frame, position + 8)
    components = struct.unpack_from(">H", frame, position + 40)[0]
    return right - left, bottom - top, components


def _grey(stored: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.float32]:
    grey = np.zeros(stored.shape[:2], np.float32)
    if stored.ndim == 3:
        for channel, weight in enumerate(_LUMA):
            grey += np.float32(weight) * stored[..., channel]
        return stretch(grey)
    # every stored value that can occur, instead of every pixel: 65,536 at most
    low, high = int(stored.min()), int(stored.max())
    shown = _shown(np.arange(low, high + 1), dataset).astype(np.float32)
    for row, line in zip(stored, grey, strict=True):
        line[:] = shown[row.astype(np.intp) - low]
    if not stretch(grey).any() and low < high:
        raise ImageError("the window or look-up table of the DICOM file leaves one grey value")
    return grey


def _shown(levels: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.float64]:
    """What a viewer shows for stored values, larger is brighter; not a number for padding."""
    values = levels.astype(np.float64)
    if luts := dataset.get("ModalityLUTSequence"):
        values = _look_up(values, luts[0], dataset)
    elif (slope := _number(dataset, "RescaleSlope")) is not None:
        values = values * slope + (_number(dataset, "RescaleIntercept") or 0.0)
    if luts := dataset.get("VOILUTSequence"):
        values = _look_up(values, luts[0], dataset)
    else:
        values = _windowed(values, dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = -values
    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        limit = dataset.get("PixelPaddingRangeLimit")
        ends = (padding, limit if isinstance(limit, int) else padding)
        values[(levels >= min(ends)) & (levels <= max(ends))] = np.nan
    return values


def _windowed(values: npt.NDArray[np.float64], dataset: pydicom.Dataset) -> npt.NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3; a window without width is none."""
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if center is None or width is None:
        return values
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR_EXACT", "SIGMOID"):
        center, width = center - 0.5, width - 1
    if not width > 0:
        return values
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    return np.clip((values - center) / width + 0.5, 0, 1)


def _look_up(
    values: npt.NDArray[np.float64], item: pydicom.Dataset, dataset: pydicom.Dataset
) -> npt.NDArray[np.float64]:
    """PS3.3 C.11.1.1 and C.11.2.1.1."""
    entries, first, _ = (int(number) for number in item.LUTDescriptor)
    entries = entries or 1 << 16
    data: Any = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else "u1")
    table = np.atleast_1d(np.asarray(data, np.float64))[:entries]
    return table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)]


def _number(dataset: pydicom.Dataset, name: str) -> float | None:
    """The first value of an element; None if it is absent or empty."""
    value = dataset.get(name)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)


def _colour(stored: npt.NDArray[Any]) -> tuple[Doubt, ...]:
    if stored.ndim != 3:
        return ()
    if stored.dtype != np.uint8:
        stored = stretch(stored.astype(np.float32)).astype(np.uint8)
    return colour_doubts(Image.fromarray(stored))


def _doubts(dataset: pydicom.Dataset) -> Iterator[Doubt]:
    modality, part = (
        str(dataset.get(name) or "").strip().upper() for name in ("Modality", "BodyPartExamined")
    )
    if modality and modality not in RADIOGRAPHS:
        why = f"no radiograph? Its DICOM Modality is none of {', '.join(RADIOGRAPHS)}"
        yield Doubt("modality", why)
    if part and not any(name in part for name in CHEST):
        why = "not a chest X-ray? Its DICOM BodyPartExamined names another part"
        yield Doubt("body part", why)
