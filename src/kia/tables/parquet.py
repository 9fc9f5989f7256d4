"""Parquet, as pandas, R and Spark write it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kia.tables.cells import CELL_LIMIT
from kia.tables.source import Record, Source, too_long
from kia.tables.text import reading

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_ROWS = 1024  # read at once


def open_parquet(path: Path) -> Source:
    """Opens a Parquet file; DataError if it is none."""
    records = _records(path)
    header = next(records).names
    return Source(header, records, unit="row")


def _records(path: Path) -> Iterator[Record]:
    """First a record with the names alone, then the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with reading(path, "Parquet"):
        try:
            schema = pq.read_schema(path)
            # Texts stay in their dictionary until they are measured: one may stand in every row.
            texts = [f.name for f in schema if pa.types.is_string(f.type)]
            with pq.ParquetFile(path, read_dictionary=texts) as file:
                names = tuple(schema.names)
                yield Record(0, names, ())
                yield from _rows(path, file, names)
        except pa.ArrowException as error:
            raise ValueError(str(error).splitlines()[0]) from None


def _rows(path: Path, file: "pq.ParquetFile", names: tuple[str, ...]) -> Iterator[Record]:
    number = 0
    for batch in file.iter_batches(_ROWS):
        columns = []
        for name, column in zip(names, batch.columns, strict=True):
            if _longest(column) > CELL_LIMIT:
                raise too_long(path, f"rows {number + 1} to {number + len(column)}", name)
            columns.append(column.to_pylist())
        for cells in zip(*columns, strict=True):
            number += 1
            yield Record(number, names, cells)


def _longest(column: Any) -> int:
    """Bytes of the longest text of a column; 0 for other values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = column.dictionary if isinstance(column, pa.DictionaryArray) else column
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return 0
    return pc.max(pc.binary_length(values)).as_py() or 0
