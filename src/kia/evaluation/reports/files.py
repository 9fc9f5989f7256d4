"""Opens files of reports: tables, text, JSON lines and JSON documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.evaluation.reports.columns import Choice
from kia.evaluation.reports.forms import Entry, entries, identity_at
from kia.files.plain import parse_json
from kia.studies import ID_COLUMNS
from kia.tables.columns import ALIASES, plain
from kia.tables.delimited import open_delimited
from kia.tables.json_lines import open_json_lines
from kia.tables.plan import Wanted
from kia.tables.reports import holds_lines
from kia.tables.table import Table, open_table
from kia.tables.text import read_text

_TABLES = (".csv", ".tsv", ".tab", ".xlsx", ".parquet")


def file_entries(path: Path, choice: Choice) -> list[Entry]:
    """The studies of a file of any kind, in its order.

    Raises:
        DataError: It is missing, empty or malformed.
    """
    name = path.name.lower().removesuffix(".gz")
    own = {"id": choice.id_column, "report": choice.report_column}
    if name.endswith(".txt") and holds_lines(path, own):
        return _from_lines(path)
    if name.endswith((".txt", *_TABLES)):
        return _without_header(path) or list(_rows(open_table(path, **_columns(choice)), choice))
    if name.endswith(".json") and (found := _document(path)) is not None:
        return entries(found, str(path), choice.split, choice.id_column)
    wanted = Wanted((), ("id",), named={}, preferred={"id": choice.id_column}, prose=())
    return list(_rows(Table(path, open_json_lines(path), wanted), choice))


def _columns(choice: Choice) -> dict[str, Any]:
    return {"optional": ("id",), "preferred": {"id": choice.id_column}}


def _rows(table: Table, choice: Choice) -> Iterator[Entry]:
    """Rows of a table; those of JSON lines have each their own keys."""
    has_ids = table.columns and any(name in table.columns for name in _id_names(choice))
    for row in table:
        place = table.where(row)
        if row.problem is not None:
            raise DataError(f"{place}: {row.problem}")
        values = dict(row.values)
        id_ = values.pop("id", None)
        if id_ is None and has_ids:
            raise DataError(f"{place} has no id")
        yield Entry(place, None if id_ is None else identity_at(id_, place), values)


def _id_names(choice: Choice) -> tuple[str, ...]:
    return ID_COLUMNS if choice.id_column is None else (plain(choice.id_column), *ID_COLUMNS)


def _without_header(path: Path) -> list[Entry]:
    """Reports of a CSV of one column that begins with a report; [] if it has a header."""
    if not path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".tab")):
        return []
    source = open_delimited(path)
    known = {*ID_COLUMNS, *(name for names in ALIASES.values() for name in names)}
    if source.header is None or len(source.header) != 1 or plain(source.header[0]) in known:
        return []
    texts = [source.header[0], *(str(record.cells[0]) for record in source.records)]
    return [
        Entry(f"{path}, row {number}", None, {"report": text})
        for number, text in enumerate(texts, 1)
    ]


def _from_lines(path: Path) -> list[Entry]:
    text = read_text(path).removeprefix("\ufeff").replace("\r\n", "\n")
    if not text:
        raise DataError(f"{path} is empty: it needs one report a study")
    return [
        Entry(f"{path}, line {number}", None, {"report": line})
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)
    ]


def _document(path: Path) -> Any:
    """A JSON document; None if the file holds JSON lines."""
    text = read_text(path).removeprefix("\ufeff")
    try:
        return parse_json(text)
    except ValueError as error:
        if str(error).startswith("not JSON (Extra data"):
            return None
        raise DataError(f"{path} is {error}") from None
