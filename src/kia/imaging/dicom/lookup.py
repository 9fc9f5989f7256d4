"""Look-up tables and windows: from stored values to what a viewer shows (PS3.3 C.11)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from kia.imaging.dicom.header import number


def shown_values(levels: npt.NDArray[Any], dataset: pydicom.Dataset) -> npt.NDArray[np.float64]:
    """What a viewer shows for stored values, larger is brighter; not a number for padding."""
    values = levels.astype(np.float64)
    if luts := dataset.get("ModalityLUTSequence"):
        values = _look_up(values, luts[0], dataset)
    elif (slope := number(dataset, "RescaleSlope")) is not None:
        values = values * slope + (number(dataset, "RescaleIntercept") or 0.0)
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
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
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
    entries, first, _ = (int(one) for one in item.LUTDescriptor)
    entries = entries or 1 << 16
    data: Any = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] is not False else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * entries else "u1")
    table = np.atleast_1d(np.asarray(data, np.float64))[:entries]
    return table[np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.intp)]
