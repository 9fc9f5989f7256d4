"""CSV and its relatives: commas, semicolons or tabs, found by trying them."""

import csv
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from kia.errors import DataError
from kia.tables.cells import CELL_LIMIT
from kia.tables.source import Record, Source, empty, too_long
from kia.tables.text import LINE_LIMIT, TextFile

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""Those that are tried, the likelier first, and what a note calls them."""

_SAMPLE = 50  # lines
_EXCEL_HINT = re.compile(r'"?sep=([,;\t])"?\s*')


def open_delimited(path: Path) -> Source:
    """Opens a CSV; its separator and encoding are sniffed.

    Raises:
        DataError: It is unreadable, binary or empty, or quotes are wrong.
    """
    # The module's limit holds for the whole process: never lowered here. Rows are measured below.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * LINE_LIMIT))
    text = TextFile(path)
    lines = text.lines()
    head = list(islice(lines, _SAMPLE))
    usual = (
        "\t" if path.name.lower().removesuffix(".gz").endswith((".tsv", ".tab", ".txt")) else ","
    )
    if head and (hint := _EXCEL_HINT.fullmatch(head[0])):
        separator = hint[1]
        head[0] = "\n"  # line numbers stay those of the file
    else:
        separator = _sniffed(head, usual)
    rows = iter(_Rows(path, chain(head, lines), separator))
    header = next((row for _, row in rows if any(cell.strip() for cell in row)), None)
    if header is None:
        raise empty(path)
    names = tuple(header)
    source = Source(names, iter(()))
    source.records = _records(source, names, rows, text, separator if separator != usual else "")
    return source


def _records(
    source: Source,
    names: tuple[str, ...],
    rows: Iterator[tuple[int, list[str]]],
    text: TextFile,
    separator: str,
) -> Iterator[Record]:
    for line, row in rows:
        yield Record(line, names, row)
    source.remarks += text.remarks
    if separator:
        source.remarks.append(f"separated by {SEPARATORS[separator]}")


def _sniffed(head: list[str], usual: str) -> str:
    """The separator that cuts the first lines into the most even columns."""
    best, found = (0.0, 0), usual
    for separator in (usual, *SEPARATORS):
        try:
            rows = [row for row in csv.reader(head, delimiter=separator) if row]
        except csv.Error:
            continue
        header, body = (rows[0] if rows else []), rows[1:] or rows
        if len(header) > 1:
            even = sum(len(row) == len(header) for row in body) / len(body)
            if (score := (round(even, 1), len(header))) > best:
                best, found = score, separator
    return found


class _Rows:
    """(line, cells) of each row that is not an empty line; the line is where it ends.

    A row is measured while it is taken: `csv` would gather a quote that is never closed.
    """

    def __init__(self, path: Path, lines: Iterator[str], separator: str) -> None:
        self._path = path
        self._lines = lines
        self._separator = separator
        self._names: list[str] = []
        self._taken: list[str] = []  # the lines of the row that is being read
        self._size = 0  # their characters
        self._first = 0  # where it begins

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(self._measured(), delimiter=self._separator, strict=True)
        try:
            for row in reader:
                if row:
                    if self._size > CELL_LIMIT and max(map(len, row)) > CELL_LIMIT:
                        raise self._too_long()
                    self._names = self._names or row
                    yield reader.line_num, row
                self._taken.clear()
        except csv.Error as error:
            where = f"{self._path}, line {self._first}"
            raise DataError(f"{where}: not readable as CSV ({error})") from None

    def _measured(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, start=1):
            if not self._taken:
                self._size, self._first = 0, number
            self._taken.append(line)
            self._size += len(line)
            if self._size > LINE_LIMIT:
                raise self._too_long()
            yield line

    def _too_long(self) -> DataError:
        cells = next(csv.reader(self._taken, delimiter=self._separator), [])
        longest = max(range(len(cells)), key=lambda place: len(cells[place]), default=0)
        column = "".join(self._names[longest : longest + 1])
        return too_long(self._path, f"line {self._first}", column, " (is a quote unclosed?)")
