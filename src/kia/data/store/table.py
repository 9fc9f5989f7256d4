"""studies.arrow: the rows of a data set, mapped into memory and checked batch by batch."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kia.data.store.description import damaged
from kia.data.store.rows import SCHEMA, check_rows
from kia.files.regular import open_file

FILE = "studies.arrow"


class StudyTable:
    """The rows of a data set.

    A file that is cut off while it is mapped would end the process by SIGBUS, so its length is
    looked at before each use.

    Args:
        folder: Of the data set.
        studies: Of each batch.

    Raises:
        DataError: The file is missing, or not such a table.
    """

    def __init__(self, folder: Path, studies: Sequence[int]) -> None:
        self._folder, self._studies = folder, studies
        self._batches: dict[int, pa.RecordBatch] = {}
        options = pa.ipc.IpcReadOptions(use_threads=False)  # no threads to lose in a fork
        try:
            self._file = open_file(folder / FILE, follow=False)
            self._size = os.fstat(self._file.fileno()).st_size
            source = pa.memory_map(str(folder / FILE))
            self._reader = pa.ipc.open_file(source, options=options)
            batches, columns = self._reader.num_record_batches, self._reader.schema
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(" ".join(str(error).split())[:200]) from error
        if batches != len(studies):
            raise self._damaged(f"{batches} batches instead of {len(studies)}")
        if not columns.equals(SCHEMA):
            raise self._damaged("other columns")

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def batch(self, number: int) -> pa.RecordBatch:
        """The rows of a batch, which were checked when they were first asked for.

        Raises:
            DataError: The file was cut off, or they are not as they were written.
        """
        self.check_length()
        if number not in self._batches:
            try:
                rows = self._reader.get_batch(number)
                check_rows(rows)
            except (OSError, ValueError, pa.ArrowException) as error:
                reason = " ".join(str(error).split())[:200]
                raise self._damaged(f"batch {number}: {reason}") from error
            if rows.num_rows != self._studies[number]:
                raise self._damaged(
                    f"batch {number}: {rows.num_rows} studies instead of {self._studies[number]}"
                )
            self._batches[number] = rows
        return self._batches[number]

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of all rows."""
        table = self._whole
        self.check_length()
        return table.column(name)

    def check_length(self) -> None:
        """DataError if the file was cut off since it was opened."""
        if os.fstat(self._file.fileno()).st_size < self._size:
            raise self._damaged("it was cut off while it was read")

    @cached_property
    def _whole(self) -> pa.Table:
        batches = [self.batch(number) for number in range(len(self._studies))]
        return pa.Table.from_batches(batches, SCHEMA)

    def _damaged(self, what: str) -> Exception:
        return damaged(self._folder, f"{FILE}: {what}")


class StoredTexts(Sequence[str]):
    """Texts that are read from the file when they are asked for.

    Args:
        table: Of all studies.
        name: Of a column of texts.
        indices: (n,) numbers of the studies, ascending.
    """

    def __init__(self, table: StudyTable, name: str, indices: npt.NDArray[np.int64]) -> None:
        self._table, self._name, self._indices = table, name, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return str(self._table.column(self._name)[int(self._indices[place])].as_py())

    def __iter__(self) -> Iterator[str]:
        start = 0
        for chunk in self._table.column(self._name).chunks:
            self._table.check_length()
            first, end = np.searchsorted(self._indices, (start, start + len(chunk)))
            yield from chunk.take(pa.array(self._indices[first:end] - start)).to_pylist()
            start += len(chunk)
