"""The one door to tables: `open_table` for rows with their places, `read_rows` for plain dicts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kia.errors import DataError
from kia.tables.columns import no_column, plain
from kia.tables.delimited import open_delimited
from kia.tables.json_lines import open_json_lines
from kia.tables.notes import first_of, note
from kia.tables.parquet import open_parquet
from kia.tables.plan import Plan, Wanted
from kia.tables.source import Source
from kia.tables.spreadsheet import open_spreadsheet
from kia.tables.text import reading, require_file

KINDS = ".csv, .tsv, .txt, .jsonl (each also .gz), .xlsx or .parquet"
"""Endings of the tables that kia reads."""

_MOST_PLANS = 100  # remembered: rows of JSON Lines may all have other keys


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: Where it is: the line of a text file (of a row over several lines the last), the row
            of a spreadsheet or of Parquet.
        values: Role or plain column name → value; None where the cell is missing. "id", "patient"
            and "report" are texts, the others what the file holds.
        problem: Why it cannot be used; None if it can.
    """

    line: int
    values: dict[str, Any]
    problem: str | None = None


def open_table(
    path: str | Path,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    *,
    named: Mapping[str, str | None] | None = None,
    preferred: Mapping[str, str | None] | None = None,
    prose: Collection[str] = (),
) -> "Table":
    """Opens a table of any kind; its separator and encoding are sniffed.

    Args:
        path: .csv, .tsv, .txt, .jsonl (also .gz), .xlsx or .parquet; content goes before name.
        required: Roles (`kia.tables.columns.ALIASES`) or names of columns that must be there.
        optional: Those that may be there.
        named: Role → the user's name for its column; None for the usual ones.
        preferred: Role → a name that counts before the usual ones, where it is there.
        prose: Columns where a word such as "None" is an answer and not a missing value.

    Returns:
        Rows can be iterated once. Notes say what is unusual (`kia.tables.notes`).

    Raises:
        DataError: It is no such file, is empty, or lacks a column.
        MissingDependency: A package for its kind is not installed.
    """
    path = Path(path)
    wanted = Wanted(
        *(tuple(required), tuple(optional), named or {}, preferred or {}),
        {plain(name) for name in prose},
    )
    return Table(path, _source(path), wanted)


def read_rows(
    path: str | Path,
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    *,
    named: Mapping[str, str | None] | None = None,
    preferred: Mapping[str, str | None] | None = None,
    prose: Collection[str] = (),
) -> Iterator[dict[str, Any]]:
    """The values of each row, for tables in which every row must be good (see `open_table`).

    Raises:
        DataError: As `open_table`, or a row has a problem; the error names its line.
    """
    table = open_table(path, required, optional, named=named, preferred=preferred, prose=prose)
    for row in table:
        if row.problem is not None:
            raise DataError(f"{table.where(row)}: {row.problem}")
        yield row.values


class Table:
    """An opened table (`open_table`); its rows can be iterated once.

    Args:
        path: Of the file.
        source: Its rows.
        wanted: Which columns are asked for.

    Attributes:
        path: Of the file.
        columns: Plain names, in order; () for JSON Lines, whose rows have their own.
        unit: What the rows' places count: "line" or "row".

    Raises:
        DataError: The header lacks a required column, or names one twice.
    """

    def __init__(self, path: Path, source: Source, wanted: Wanted) -> None:
        self.path = path
        self.columns: tuple[str, ...] = ()
        self.unit = source.unit
        self._source = source
        self._wanted = wanted
        self._plans: dict[tuple[str, ...], Plan] = {}
        if source.header is not None:
            self.columns = tuple(filter(None, map(plain, source.header)))
            self._require(self._plan(source.header), str(path), self.columns)

    def where(self, row: Row) -> str:
        """The place of a row, for errors: "reports.csv, line 7"."""
        return f"{self.path}, {self.unit} {row.line}"

    def __iter__(self) -> Iterator[Row]:
        """The rows; those at the end that are empty, and empty ones without an id, are left out.

        Raises:
            DataError: The file is damaged, or no row is below the header.
        """
        count = 0
        blank: list[Row] = []
        passed: list[int] = []
        for row in self._rows():
            if _is_blank(row):
                blank.append(row)
                continue
            if "id" in row.values:
                passed += [one.line for one in blank]
            else:
                yield from blank
            blank.clear()
            count += 1
            yield row
        if not count:
            header = self._source.header is not None
            raise DataError(
                f"{self.path}: {'has no row below its header' if header else 'is empty'}"
            )
        self._say(passed)

    def _rows(self) -> Iterator[Row]:
        names: tuple[str, ...] | None = None
        for record in self._source.records:
            if record.problem is not None:
                yield Row(record.line, {}, record.problem)
                continue
            if record.names is not names:
                names, plan = record.names, self._plan(record.names)
                if len(self._plans) == 1:  # in later rows it is a problem of these
                    where = f"{self.path}, {self.unit} {record.line}"
                    self._require(plan, where, list(map(plain, names)))
            values, problem = plan.values(record.cells)
            if plan.lacks:
                problem = f"no {', '.join(plan.lacks)}"
            yield Row(record.line, values, problem)

    def _require(self, plan: Plan, where: str, columns: Sequence[str]) -> None:
        if plan.lacks:
            raise no_column(where, columns, plan.lacks, self._wanted.named)

    def _plan(self, names: tuple[str, ...]) -> Plan:
        if names not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.pop(next(reversed(self._plans)))
            self._plans[names] = self._wanted.plan(self.path, names)
        return self._plans[names]

    def _say(self, passed: Sequence[int]) -> None:
        if self._source.remarks:
            note(f"{self.path}: {', '.join(self._source.remarks)}")
        if passed:
            where = f"{self.unit} {first_of(passed)}"
            note(f"{self.path}: {len(passed)} empty rows are left out ({where})")


def _is_blank(row: Row) -> bool:
    values = row.values.values()
    return row.problem is None and None in values and all(value is None for value in values)


def _source(path: Path) -> Source:
    """The file, opened by what it holds, else by its name."""
    require_file(path)
    with reading(path, "a table"), path.open("rb") as file:
        start = file.read(4)
    name = path.name.lower().removesuffix(".gz")
    if start == _OLD_EXCEL:
        raise DataError(f"{path}: an old or locked Excel file; save it as .xlsx or .csv")
    if start in _MAGIC:
        return _MAGIC[start](path)
    for ending, opened in _BY_NAME.items():
        if name.endswith(ending):
            return opened(path)
    raise DataError(f"{path}: not a table that kia reads; use {KINDS}")


_MAGIC = {b"PK\x03\x04": open_spreadsheet, b"PAR1": open_parquet}
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_BY_NAME = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt"), open_delimited),
    ".jsonl": open_json_lines,
    ".xlsx": open_spreadsheet,
    ".parquet": open_parquet,
}
