"""Stable orders by several columns of whole numbers, packed into one where they fit."""

from collections.abc import Sequence

import numpy as np

_BITS = 63


def order_by(columns: Sequence[np.ndarray]) -> np.ndarray:
    """The order of rows by the first column, ties by the next …, then as they came, (n,).

    Args:
        columns: Whole numbers from 0, each (n,).
    """
    rows = len(columns[0])
    if rows < 2:
        return np.arange(rows)
    widths = [int(column.max()).bit_length() for column in columns]
    place = (rows - 1).bit_length()
    if sum(widths) + place > _BITS:
        return np.lexsort(list(reversed(columns)))
    key = columns[0].astype(np.int64)
    for column, width in zip(columns[1:], widths[1:], strict=True):
        key <<= width
        key |= column
    key <<= place
    key |= np.arange(rows)
    key.sort()
    key &= (1 << place) - 1
    return key


def spread(begins: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges one after another: for each element its range, and its number, (sum of counts,)."""
    rows = np.repeat(np.arange(len(counts)), counts)
    shift = begins - (np.cumsum(counts) - counts)
    return rows, np.arange(len(rows)) + shift[rows]
