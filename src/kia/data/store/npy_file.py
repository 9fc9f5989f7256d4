"""A .npy file of uint8 rows, read piece by piece.

Read, not mapped into memory: a file that is cut off meanwhile is an error then, and not the end of
the process by SIGBUS.
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kia.data.store.description import damaged
from kia.files.regular import open_file

Rows = npt.NDArray[np.uint8]


class NpyFile:
    """An opened file.

    Attributes:
        shape: Of all rows.

    Raises:
        DataError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = open_file(path, follow=False)
            if np.lib.format.read_magic(self._file) != (1, 0):
                raise ValueError("another version of .npy")
            shape, by_columns, kind = np.lib.format.read_array_header_1_0(self._file)
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        except Exception as error:  # numpy lets the header be parsed as Python, which raises a lot
            raise self._damaged(" ".join(str(error).split())[:200]) from error
        if kind != np.uint8 or by_columns or not shape:
            raise self._damaged(f"it holds {kind} {shape}")
        self.shape: tuple[int, ...] = shape
        self._start = self._file.tell()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read(self, first: int, into: Rows) -> None:
        """Reads rows that follow each other into an array in one piece, whose content goes.

        Raises:
            DataError: There are not so many, or the file was cut off.
        """
        if first < 0 or first + len(into) > self.shape[0] or into.shape[1:] != self.shape[1:]:
            raise self._damaged(
                f"rows {first} to {first + len(into)} of {self.shape} are asked for"
            )
        place, rest = self._start + first * int(np.prod(self.shape[1:])), into.data.cast("B")
        try:
            while len(rest) and (count := os.preadv(self._file.fileno(), [rest], place)):
                place, rest = place + count, rest[count:]
        except OSError as error:
            raise self._damaged(error.strerror or str(error)) from error
        if len(rest):
            raise self._damaged("it was cut off while it was read")

    def _damaged(self, what: str) -> Exception:
        return damaged(self._path.parent, f"{self._path.name}: {what}")
