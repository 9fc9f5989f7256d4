"""Writes .npy files whose length is not known beforehand."""

from pathlib import Path

import numpy as np
import numpy.typing as npt


class NpyWriter:
    """Appends uint8 rows to a .npy file whose length is not known beforehand.

    Args:
        path: The file.
        row_shape: Shape of one row.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...]) -> None:
        self.rows = 0
        self._row_shape = row_shape
        self._file = path.open("wb")
        self._header()

    def append(self, rows: npt.NDArray[np.uint8]) -> None:
        """Append (n, *row_shape)."""
        if rows.dtype != np.uint8 or rows.shape[1:] != self._row_shape:
            raise ValueError(f"rows are {rows.dtype} {rows.shape}, not uint8 {self._row_shape}")
        self._file.write(np.ascontiguousarray(rows).data)
        self.rows += len(rows)

    def close(self) -> None:
        """Write the final length; a second call does nothing."""
        if not self._file.closed:
            with self._file:
                self._header()

    def _header(self) -> None:
        shape = (self.rows, *self._row_shape)
        self._file.seek(0)  # numpy pads the header so that a longer array needs no more room
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
