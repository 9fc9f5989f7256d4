"""Files whose rows are those of a table of reports, and that have no ids of their own.

So are the output of the CheXpert labeler (its rows follow each other) and that of the package
`radgraph` (its keys count from "0"). Numbers and, where both sides have texts, words are compared:
a file of another order or of other reports is refused.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kia.errors import DataError
from kia.knowledge.chexpert import read_label_file
from kia.knowledge.radgraph import read_graph_records
from kia.tables.notes import first_of, note

Table = Callable[[], Mapping[str, str]]
"""Reads the table that a file was made from: id → report, in the order of its rows."""

T = TypeVar("T")

_WORD = re.compile(r"\w+")
_SAME = 0.5  # share of words that two spellings of one report have in common at the least


def labels_by_id(
    path: Path, table: Table, reports: object, id_column: str | None = None
) -> Mapping[str, Mapping[str, int | None]]:
    """Id → labels of a file (`kia.knowledge.chexpert`).

    Args:
        path: With ids of its own, or with the rows of a table.
        table: Is read where the file has no ids.
        reports: Where the table stands, for messages.
        id_column: The column of ids in the file, if it is there; else the usual ones.

    Raises:
        DataError: A file is malformed, or has other rows or texts than the table.
    """
    read = read_label_file(path, id_column)
    if read.has_ids:
        return read.labels
    known = table()
    labels = by_rows(read.labels, known, file=path, reports=reports)
    if read.texts:
        texts = dict(zip(labels, read.texts.values(), strict=True))
        check_texts(texts, known, file=path, reports=reports)
    return labels


def graph_records_by_id(
    path: Path, table: Table, reports: object, wanted: Iterable[str]
) -> Mapping[str, Any]:
    """Id → unchecked RadGraph record of a file; arguments as in `labels_by_id`.

    Args:
        path: Its keys are ids, or rows from "0".
        table: Is read where they are rows.
        reports: Where the table stands, for messages.
        wanted: The ids that are looked for.
    """
    records = read_graph_records(path)
    if not are_numbered_from_zero(records, wanted):
        return records
    known = table()
    found = by_rows(records, known, file=path, reports=reports, first=0, may_lack=True)
    texts = {n: r["text"] for n, r in found.items() if isinstance(r, dict) and "text" in r}
    check_texts(
        {name: text for name, text in texts.items() if isinstance(text, str)},
        known, file=path, reports=reports,
    )  # fmt: skip
    return found


def by_rows(
    values: Mapping[str, T],
    table: Mapping[str, str],
    *,
    file: object,
    reports: object,
    first: int = 1,
    may_lack: bool = False,
) -> dict[str, T]:
    """Gives numbered values the ids of the table that they were made from.

    Args:
        values: Number of a row, as text → value.
        table: Id → report, in the order of its rows.
        file: Where the values stand, for messages.
        reports: Where the table stands, for messages.
        first: Number of the first row.
        may_lack: Rows without a value are said and left out; else they are an error, but for empty
            reports at the end, whose rows in a table are empty, too.

    Raises:
        DataError: There are other rows than reports.
    """
    ids = list(table)
    rows = {int(number) - first: value for number, value in values.items()}
    missing = [name for row, name in enumerate(ids) if row not in rows]
    beyond = max(rows, default=-1) >= len(ids)
    if beyond or (not may_lack and any(table[name].strip() for name in missing)):
        raise DataError(
            f"{file} has {max(len(rows), max(rows, default=-1) + 1)} rows and {reports} "
            f"{len(ids)} reports: {file} was made from another table"
        )
    if missing:
        note(f"{file} has nothing for {len(missing)} of {len(ids)} reports ({first_of(missing)})")
    return {name: rows[row] for row, name in enumerate(ids) if row in rows}


def check_texts(
    texts: Mapping[str, str], table: Mapping[str, str], *, file: object, reports: object
) -> None:
    """Compares the reports that a tool read with those of the table; letters aside from words.

    Args:
        texts: Id → report in the file.
        table: Id → report in the table.
        file: For messages.
        reports: For messages.

    Raises:
        DataError: A report has less than half of its words in common: it is another one.
    """
    shared = [name for name in texts if name in table]
    differ = [name for name in shared if _words(texts[name]) != _words(table[name])]
    other = [name for name in differ if _alike(texts[name], table[name]) < _SAME]
    if other:
        raise DataError(
            f"{file} and {reports} have other texts for {len(other)} of {len(shared)} reports "
            f"({first_of(other)}): it was made from another table, or its rows are in another order"
        )
    if differ:
        note(
            f"{file} and {reports} spell {len(differ)} of {len(shared)} reports otherwise "
            f"({first_of(differ)})"
        )


def are_numbered_from_zero(names: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether names are row numbers from 0, as the package `radgraph` counts, and not ids.

    Args:
        names: Of the file; some numbers may be missing.
        wanted: The ids that are looked for.
    """
    found = set(names)
    return "0" in found and all(name.isdecimal() for name in found) and "0" not in set(wanted)


def _words(text: str) -> Sequence[str]:
    return _WORD.findall(text.lower())


def _alike(first: str, second: str) -> float:
    """Share of words that two texts have in common, 0 to 1."""
    ours, theirs = Counter(_words(first)), Counter(_words(second))
    return (ours & theirs).total() / max(ours.total(), theirs.total(), 1)
