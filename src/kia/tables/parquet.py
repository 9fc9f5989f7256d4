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
            raise ValueError(str(error)) from None


def _rows(path: Path, file: "pq.ParquetFile", names: tuple[str, ...]) -> Iterator[Record]:
    number = 0
    for batch in file.iter_batches(_ROWS):
        columns = []
        for name, column in zip(names, batch.columns, strict=True):
            if (place := _first_too_long(column)) is not None:
                raise too_long(path, f"row {number + place + 1}", name)
            columns.append(column.to_pylist())
        for cells in zip(*columns, strict=True):
            number += 1
            yield Record(number, names, cells)


def _first_too_long(column: Any) -> int | None:
    """Place of the first text beyond the limit, measured in bytes; None where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    in_dictionary = isinstance(column, pa.DictionaryArray)
    values = column.dictionary if in_dictionary else column
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return None
    lengths = pc.binary_length(values)
    if (pc.max(lengths).as_py() or 0) <= CELL_LIMIT:
        return None
    lengths = lengths.take(column.indices) if in_dictionary else lengths
    place = pc.index(pc.greater(lengths, CELL_LIMIT), True).as_py()
    return None if place < 0 else place
