"""Reads the tables that describe a collection: CSV (also under gzip), JSON Lines, Parquet."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kia.errors import DataError

_LONGEST_FIELD = 1 << 30  # characters; csv refuses reports above 128 KiB by default


def read_csv(path: Path, columns: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Rows of a CSV, or of a CSV under gzip, one at a time.

    Args:
        path: UTF-8, with a header; the name ends in .gz if it is compressed.
        columns: Must be there.

    Returns:
        Column → text; "" where a line is too short.

    Raises:
        DataError: The file is missing or malformed, or lacks a column.
    """
    with _reading(path, "CSV"):
        opener: Any = gzip.open if path.suffix == ".gz" else Path.open
        with opener(path, "rb") as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
            csv.field_size_limit(_LONGEST_FIELD)
            reader = csv.DictReader(text, restval="")
            _require_columns(path, reader.fieldnames or (), columns)
            for row in reader:
                row.pop(None, None)  # values beyond the header
                yield row


def read_table(path: Path, columns: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Rows of a .csv, .csv.gz, .jsonl or .parquet file, one at a time.

    Args:
        path: Its name says what it is.
        columns: Must be there (in JSON Lines: in each line).

    Returns:
        Column → value; text in CSV, what was stored in the others.

    Raises:
        DataError: The file is missing, malformed or of another kind, or lacks a column.
    """
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return read_csv(path, columns)
    if name.endswith(".jsonl"):
        return _read_jsonl(path, columns)
    if name.endswith(".parquet"):
        return _read_parquet(path, columns)
    raise DataError(f"{path}: not a table that kia reads; use .csv, .csv.gz, .jsonl or .parquet")


def read_json(path: Path) -> Any:
    """Content of a JSON file; DataError if it is missing or malformed."""
    with _reading(path, "JSON"):
        return json.loads(path.read_text(encoding="utf-8"))


def _read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    with _reading(path, "JSON Lines"), path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: not a JSON object")
            _require_columns(f"{path}, line {number}", row, columns)
            yield row


def _read_parquet(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(path, "Parquet"):
        try:
            with pq.ParquetFile(path) as file:
                _require_columns(path, file.schema_arrow.names, columns)
                for batch in file.iter_batches(1024):
                    yield from batch.to_pylist()
        except pa.ArrowException as error:
            raise ValueError(error) from error


def _require_columns(where: Path | str, present: Any, columns: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in present]:
        raise DataError(f"{where}: no column {', '.join(missing)}")


@contextmanager
def _reading(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, RecursionError, csv.Error, zlib.error) as error:
        raise DataError(f"{path}: not readable as {kind} ({error})") from error
