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
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom import uid
from pydicom.filereader import read_dataset, read_preamble

from kia.errors import ImageError
from kia.imaging.grey import MAX_BYTES, Doubt
from kia.imaging.views import view_named
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
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData"),
    *("BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData"),
)
_TAGS: list[Any] = [pydicom.tag.Tag(name) for name in _ELEMENTS]
_STUDY_ELEMENTS = ("StudyInstanceUID", "ViewPosition")
_STUDY_TAGS: list[Any] = [pydicom.tag.Tag(name) for name in _STUDY_ELEMENTS]
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


def study_and_view(path: Path) -> tuple[str | None, View | None]:
    """StudyInstanceUID and the view that View Position names; None where a file does not say.

    Pixels are not read. A file that is missing, damaged or no DICOM file says neither.
    """
    try:
        with path.open("rb") as file, quiet():
            if file.read(132)[128:] != b"DICM":
                return None, None
            file.seek(0)
            dataset, _ = read_header(file, _STUDY_TAGS)
            study, view = (str(dataset.get(name) or "") for name in _STUDY_ELEMENTS)
    except Exception:  # pydicom raises anything on damaged files; the decoder will say what it is
        return None, None
    return study.strip() or None, view_named(view)


def read_header(file: BinaryIO, tags: Sequence[Any] = _TAGS) -> tuple[pydicom.Dataset, uid.UID]:
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


def doubts_of(dataset: pydicom.Dataset) -> Iterator[Doubt]:
    """Why a file may hold no radiograph, or none of a chest, as its header says."""
    modality, part = (
        str(dataset.get(name) or "").strip().upper() for name in ("Modality", "BodyPartExamined")
    )
    if modality and modality not in RADIOGRAPHS:
        why = f"no radiograph? Its DICOM Modality is none of {', '.join(RADIOGRAPHS)}"
        yield Doubt("modality", why)
    if part and not any(name in part for name in CHEST):
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
