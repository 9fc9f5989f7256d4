"""Look-up tables and windows: from stored values to what a viewer shows (PS3.3 C.11)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from kia.imaging.dicom.header import number
from kia.imaging.dicom.pixels import stored_range


def shown_values(levels: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.float64]:
    """What a viewer shows for stored values, larger is brighter; not a number for padding."""
    values, signed = _modality_values(levels, dataset)
    if luts := dataset.get("VOILUTSequence"):
        values = _look_up(values, luts[0], dataset, signed)
    elif window := _window(dataset):
        values = _windowed(values, *window)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = -values
    if (padding := _padding(dataset)) is not None:
        values[(levels >= padding[0]) & (levels <= padding[1])] = np.nan
    return values


def has_range(dataset: pydicom.Dataset) -> bool:
    """Whether the file says by a VOI LUT or a window which values are to be seen."""
    return bool(dataset.get("VOILUTSequence") or _window(dataset))


def _modality_values(
    levels: npt.NDArray[Any], dataset: pydicom.Dataset
) -> tuple[npt.NDArray[np.float64], bool]:
    """After the modality LUT or rescale (PS3.3 C.11.1); and whether they could be negative.

    That is asked of all values that could be stored: it decides how the table that comes next
    counts (C.11.2.1.1). Half a rescale, or one by nothing, is none.
    """
    values, signed = levels.astype(np.float64), bool(dataset.PixelRepresentation)
    if luts := dataset.get("ModalityLUTSequence"):
        return _look_up(values, luts[0], dataset, signed), False
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if not slope or intercept is None:
        return values, signed
    ends = [end * slope + intercept for end in stored_range(dataset)]
    return values * slope + intercept, min(ends) < 0


def _window(dataset: pydicom.Dataset) -> tuple[str, float, float] | None:
    """Function, centre and width of the first window; one without width is none."""
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    if center is None or width is None:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR"
    enough = width >= 1 if function == "LINEAR" else width > 0
    return (function, center, width) if enough else None


def _windowed(
    values: npt.NDArray[np.float64], function: str, center: float, width: float
) -> npt.NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
        if width == 0:
            return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _look_up(
    values: npt.NDArray[np.float64], item: pydicom.Dataset, dataset: pydicom.Dataset, signed: bool
) -> npt.NDArray[np.float64]:
    """PS3.3 C.11.1.1 and C.11.2.1.1; only the range that enters says what sign the first value has.

    Devices write it, the number of entries and the entries as US or SS, whichever comes.
    """
    entries, first = (int(one) % 65536 for one in item.LUTDescriptor[:2])
    entries = entries or 1 << 16
    if signed and first >= 1 << 15:
        first -= 1 << 16
    table = _entries(item.LUTData, entries, dataset).astype(np.float64)
    return table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)]


def _entries(data: Any, entries: int, dataset: pydicom.Dataset) -> npt.NDArray[Any]:
    """Unsigned, whatever their VR; two a word if they are of 8 bits and there are so few words."""
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        words = np.frombuffer(data + b"\0" * (len(data) % 2), f"{order}u2")
    else:
        words = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
    if len(words) == (entries + 1) // 2:
        words = words.astype("<u2").view(np.uint8)
    return words[:entries]


def _padding(dataset: pydicom.Dataset) -> tuple[int, int] | None:
    """Lowest and highest stored value that are no part of the picture (PS3.3 C.7.5.1.1.2)."""
    ends = [
        _as_stored(dataset, dataset.get(name))
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    ]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if ends[0] is not None else None


def _as_stored(dataset: pydicom.Dataset, value: Any) -> int | None:
    """A value that an element of either sign gives, as the pixels have it.

    Of its 16 bits those above Bits Stored may repeat the sign; with others no pixel can have it.
    """
    if not isinstance(value, int) or not -(1 << 15) <= value < 1 << 16:
        return None
    low, high = stored_range(dataset)
    values = high - low + 1
    above, value = divmod(value % (1 << 16), values)
    if above not in (0, (1 << 16) // values - 1):
        return None
    return value - values if value > high else value
