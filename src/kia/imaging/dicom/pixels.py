"""Stored pixels of DICOM files, decompressed."""

import struct
from typing import Any

import gdcm
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import uid
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, get_decoder

from kia.errors import ImageError
from kia.imaging.grey import refuse_large

_PILLOW = (uid.JPEG2000, uid.JPEG2000Lossless, uid.JPEGBaseline8Bit)
_ENCAPSULATED_UNCOMPRESSED = uid.UID("1.2.840.10008.1.2.1.98")
# Pillow takes less memory than GDCM, and its decoders see more tests; GDCM reads the others.
_FRAME_HEADERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))

for _off in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
    _off()


def refuse_unreadable(dataset: pydicom.Dataset, max_pixels: int) -> None:
    """ImageError for a file without one image of at most 16 bits and the pixels allowed."""
    if any(name not in dataset for name in ("PixelData", "Rows", "Columns")):
        raise ImageError("the DICOM file holds no image")
    refuse_large(int(dataset.Columns), int(dataset.Rows), max_pixels)
    if (frames := int(dataset.get("NumberOfFrames") or 1)) > 1:
        raise ImageError(f"DICOM with {frames} frames, a single image is needed")
    if (bits := int(dataset.BitsAllocated)) > 16:
        raise ImageError(f"DICOM with {bits} bits a pixel; radiographs have at most 16")


def stored_pixels(dataset: pydicom.Dataset, syntax: uid.UID) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3) as stored."""
    if syntax == _ENCAPSULATED_UNCOMPRESSED:
        dataset.PixelData = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset["PixelData"].is_undefined_length = False
        dataset.file_meta.TransferSyntaxUID = syntax = uid.ExplicitVRLittleEndian
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageError("DICOM with a compression that is not supported") from None
    depth = 16
    options: dict[str, Any] = {"correct_unused_bits": False}
    if decoder.is_encapsulated:
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        depth = _depth_of_sound_frame(frame, dataset, syntax)
        options["bits_stored"] = min(depth, int(dataset.BitsAllocated))  # GDCM cuts off the rest
    plugin = "pillow" if syntax in _PILLOW else ""
    stored, _ = decoder.as_array(dataset, index=0, decoding_plugin=plugin, **options)
    del dataset.PixelData  # memory
    _drop_unused_bits(stored, dataset, depth)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return apply_color_lut(stored, dataset)
    return stored


def stored_range(dataset: pydicom.Dataset) -> tuple[int, int]:
    """The lowest and the highest value that Bits Stored and Pixel Representation leave room for."""
    values = 1 << int(dataset.BitsStored)
    low = -values // 2 if dataset.PixelRepresentation else 0
    return low, low + values - 1


def _drop_unused_bits(stored: npt.NDArray[Any], dataset: pydicom.Dataset, depth: int) -> None:
    """Values from their place in cells of 8 or 16 bits, in place (PS3.5 8.1.1).

    What is above and below has no meaning; overlays once lay there. A codestream without the bits
    above High Bit has the values at its bottom.

    Args:
        stored: Cells as they were decoded, of the sign of Pixel Representation.
        dataset: With Bits Allocated, Bits Stored and High Bit.
        depth: Bits that a codestream has for each value; 16 or more if there is none.
    """
    cell, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    if cell not in (8, 16):
        return
    top = int(dataset.get("HighBit") or 0) + 1
    top = max(min(top, depth), bits) if bits <= top <= cell else bits
    if top < cell:
        np.left_shift(stored, cell - top, out=stored)
    if bits < cell:
        np.right_shift(stored, cell - bits, out=stored)


def _depth_of_sound_frame(frame: bytes, dataset: pydicom.Dataset, syntax: uid.UID) -> int:
    """Bits of a value in the codestream.

    A compressed image says how large it is itself; decoders believe it, not the header.

    Raises:
        ImageError: It is not as large as the header says.
    """
    samples = int(dataset.SamplesPerPixel)
    expected = int(dataset.Columns), int(dataset.Rows), samples
    if syntax == uid.RLELossless:
        if len(frame) > 2 * expected[0] * expected[1] * samples * 2 + 1024:
            raise ImageError("damaged DICOM file: more compressed data than the image can have")
        return 16
    *declared, depth = _form_in_jpeg_2000(frame) if "2000" in syntax.name else _form_in_jpeg(frame)
    if tuple(declared) != expected:
        raise ImageError(
            "damaged DICOM file: the compressed image is {} × {} × {}, the header says "
            "{} × {} × {}".format(*declared, *expected)
        )
    return depth


def _form_in_jpeg(frame: bytes) -> tuple[int, int, int, int]:
    """Width, height, components and bits that the frame header of JPEG or JPEG-LS states."""
    position = 2
    while position + 10 <= len(frame):
        marker = frame[position + 1]
        if frame[position] != 0xFF:
            break
        if marker == 0xFF:  # fill
            position += 1
            continue
        if marker in _FRAME_HEADERS or marker == 0xF7:
            depth, height, width, components = struct.unpack_from(">BHHB", frame, position + 4)
            return width, height, components, depth
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    raise ImageError("damaged DICOM file: no frame header in the compressed image")


def _form_in_jpeg_2000(frame: bytes) -> tuple[int, int, int, int]:
    """Width, height, components and bits of a codestream (SIZ), bare or in the boxes of JP2."""
    position = 0
    while frame[position : position + 4] != b"\xff\x4f\xff\x51":
        length, kind = struct.unpack_from(">I4s", frame, position)
        position += 8 if kind == b"jp2c" else max(length, 8)
    right, bottom, left, top = struct.unpack_from(">4I", frame, position + 8)
    components, depth = struct.unpack_from(">HB", frame, position + 40)
    return right - left, bottom - top, components, (depth & 0x7F) + 1
