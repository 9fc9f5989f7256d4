"""What the readers of the kinds of tables give: names and cells, row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kia.errors import DataError
from kia.tables.cells import CELL_LIMIT


class Record(NamedTuple):
    """A row as its file has it.

    Attributes:
        line: Where it begins: the line of a text file, the row of a spreadsheet.
        names: Of its cells, as the file spells them; the same tuple as long as they stay the same.
        cells: Values; fewer or more than names where a line is ragged.
        problem: Why it cannot be read; None if it can.
    """

    line: int
    names: tuple[str, ...]
    cells: Sequence[Any]
    problem: str | None = None


@dataclass(slots=True)
class Source:
    """An opened table.

    Attributes:
        header: Names of the columns; None where each row has its own (JSON Lines).
        records: The rows below the header.
        remarks: How it was read, where that is not the usual way; complete after the last row.
        unit: What `line` counts: "line" or "row".
    """

    header: tuple[str, ...] | None
    records: Iterator[Record]
    remarks: list[str] = field(default_factory=list)
    unit: str = "line"


def too_long(path: Path, place: str, column: str, hint: str = "") -> DataError:
    """The error for a cell beyond the limit."""
    which = f", column {column[:40]!r}" if column else ""
    return DataError(f"{path}, {place}{which}: a cell of more than {CELL_LIMIT:,} characters{hint}")


def empty(path: Path) -> DataError:
    """The error for a table without a header."""
    return DataError(f"{path}: is empty; a table has a header and rows")
