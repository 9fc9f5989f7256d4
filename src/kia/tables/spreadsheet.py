"""Spreadsheets (.xlsx): values as they were last computed, of the first sheet."""

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kia.errors import require
from kia.tables.cells import CELL_LIMIT
from kia.tables.source import Record, Source, empty, too_long
from kia.tables.text import reading

_MOST_EMPTY = 10_000  # rows that follow each other; a stray cell may lie a million rows below
_MOST_BYTES = 1 << 29  # of its parts, unpacked
_LONGEST_RUN = 4 * CELL_LIMIT  # bytes between two tags
_CHUNK = 1 << 20

_Row = tuple[int, tuple[Any, ...]]


def open_spreadsheet(path: Path) -> Source:
    """Opens a spreadsheet. Formulas count as the values that they had when it was saved.

    Raises:
        DataError: It is none, is empty, or is larger than a spreadsheet can be.
        MissingDependency: openpyxl is not installed.
    """
    require("openpyxl", "spreadsheets", f"{path}: a spreadsheet")
    source = Source((), iter(()), unit="row")
    rows = _rows(path, source.remarks)
    first = next(rows, None)
    if first is None:
        raise empty(path)
    names = tuple("" if cell is None else str(cell) for cell in first[1])
    while names and not names[-1].strip():
        names = names[:-1]
    source.header = names
    source.records = _records(path, names, rows)
    return source


def _records(path: Path, names: tuple[str, ...], rows: Iterator[_Row]) -> Iterator[Record]:
    for number, row in rows:
        for place, cell in enumerate(row):
            if isinstance(cell, str) and len(cell) > CELL_LIMIT:
                raise too_long(path, f"row {number}", "".join(names[place : place + 1]))
        # A sheet is as wide as each of its rows is written.
        yield Record(number, names, (*row, *[None] * (len(names) - len(row))))


def _rows(path: Path, remarks: list[str]) -> Iterator[_Row]:
    """Number and cells of each row from the header on."""
    import openpyxl

    with reading(path, "a spreadsheet"), _library_errors(), path.open("rb") as file:
        _refuse_bombs(file)
        with warnings.catch_warnings():  # of features that hold no cells
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheets = book.worksheets
        if not sheets:
            raise ValueError("it has no sheet")
        if len(sheets) > 1:
            remarks.append(f"only the first of its {len(sheets)} sheets is read")
        sheets[0].reset_dimensions()  # what some programs write there is wrong
        last = 0
        for number, row in enumerate(sheets[0].iter_rows(values_only=True), start=1):
            if any(cell is not None for cell in row):
                last = number
            elif number > last + _MOST_EMPTY:
                remarks.append(f"not read below row {number}, after {_MOST_EMPTY:,} empty ones")
                break
            if last:
                yield number, row


@contextmanager
def _library_errors() -> Iterator[None]:
    """What openpyxl raises for damaged files, as ValueError."""
    try:
        yield
    except (
        *(KeyError, IndexError, TypeError, AttributeError, SyntaxError),
        *(NotImplementedError, zipfile.BadZipFile),
    ) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _refuse_bombs(archive: IO[bytes]) -> None:
    """ValueError for parts that unpack to more than a spreadsheet has, before they are parsed."""
    with zipfile.ZipFile(archive) as parts:
        if sum(part.file_size for part in parts.infolist()) > _MOST_BYTES:
            raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes; save it as CSV")
        for part in parts.infolist():
            if not part.filename.endswith(".xml"):
                continue
            run = 0
            with parts.open(part) as file:
                while chunk := file.read(_CHUNK):
                    if b"<!DOCTYPE" in chunk or b"<!ENTITY" in chunk:
                        raise ValueError("it declares entities")
                    first, *others = map(len, chunk.split(b"<"))
                    longest = max(run + first, *others, 0)
                    if longest > _LONGEST_RUN:
                        raise ValueError(f"it has a cell of more than {CELL_LIMIT:,} characters")
                    run = others[-1] if others else run + first
