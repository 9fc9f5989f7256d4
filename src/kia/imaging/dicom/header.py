"""Headers of DICOM files: the few elements that are read, and what they say about the picture.

Headers hold the names of patients: only these elements are read, and no text of theirs gets into a
message.
"""

import contextlib
import io
import logging
import math
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pydicom
from pydicom import uid
from pydicom.filereader import read_dataset, read_preamble

from kia.errors import ImageError
from kia.imaging.body_parts import CHEST, part_named
from kia.imaging.grey import MAX_BYTES, Doubt

RADIOGRAPHS = ("CR", "DX", "DR", "RG")
"""Values of Modality that need no warning."""

_ELEMENTS = (
    *("Modality", "BodyPartExamined", "SamplesPerPixel", "PhotometricInterpretation"),
    *("PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", "LUTDescriptor", "LUTData"),
    *("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelData"),
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
)
_TAGS: list[Any] = [pydicom.tag.Tag(name) for name in _ELEMENTS]
MAX_HEADER = 1 << 18
"""Bytes that are read of a header alone; what is skipped does not count."""
_READING = threading.Lock()  # warning filters and loggers are shared by all threads


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """pydicom quotes odd headers in warnings and in its log."""
    logger = logging.getLogger("pydicom")
    with _READING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        propagate, logger.propagate = logger.propagate, False
        try:
            yield
        finally:
            logger.propagate = propagate


def read_header(
    file: BinaryIO, tags: Sequence[Any] = _TAGS, *, pixels: bool = True
) -> tuple[pydicom.Dataset, uid.UID]:
    """The elements that are needed, and the transfer syntax.

    Args:
        file: At its start.
        tags: Of these elements.
        pixels: Whether to read on to them; what comes after is skipped otherwise.
    """
    read_preamble(file, force=True)
    meta = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2
    )
    syntax = meta.get("TransferSyntaxUID")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        packed = file.read(-1 if pixels else MAX_HEADER // 2)
        content = inflate.decompress(packed, MAX_BYTES + 1 if pixels else MAX_HEADER)
        if len(content) > MAX_BYTES:
            raise ImageError(f"DICOM file that unpacks to more than {MAX_BYTES >> 20} MiB")
        body = read_dataset(io.BytesIO(content), False, True, specific_tags=list(tags))
        return body, uid.ExplicitVRLittleEndian
    file.seek(0)
    dataset = pydicom.dcmread(
        file, force=True, specific_tags=list(tags), stop_before_pixels=not pixels
    )
    if syntax is None:
        little = dataset.original_encoding[1]
        syntax = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
    return dataset, syntax


def doubts_of(dataset: pydicom.Dataset) -> Iterator[Doubt]:
    """Why a file may hold no radiograph, or none of a chest, as its header says."""
    modality, part = (
        str(dataset.get(name) or "").strip().upper() for name in ("Modality", "BodyPartExamined")
    )
    if modality and modality not in RADIOGRAPHS:
        why = f"no radiograph? Its DICOM Modality is none of {', '.join(RADIOGRAPHS)}"
        yield Doubt("modality", why)
    if part_named(part) not in (None, CHEST):
        why = "not a chest X-ray? Its DICOM BodyPartExamined names another part"
        yield Doubt("body part", why)


def pixel_aspect(dataset: pydicom.Dataset) -> float:
    """Width of a pixel over its height: from its spacing, else its ratio (PS3.3 C.7.6.3.1.7)."""
    spacings = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    for name in (*spacings, "PixelAspectRatio"):
        with contextlib.suppress(Exception):  # pydicom raises anything on what is no number
            height, width = (float(side) for side in dataset[name].value)
            if 0 < height < math.inf and 0 < width < math.inf:
                return width / height
    return 1.0


def number(dataset: pydicom.Dataset, name: str) -> float | None:
    """The first value of an element; None if it is absent or empty."""
    value = dataset.get(name)
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if len(value) else None
    return None if value is None or value == "" else float(value)
