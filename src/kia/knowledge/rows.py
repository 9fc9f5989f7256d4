"""Files whose rows are those of a table of reports, and that have no ids of their own.

So are the output of the CheXpert labeler (its rows follow each other) and that of the package
`radgraph` (its keys count from "0"). Numbers and, where both sides have texts, words are compared:
a file of another order or of other reports is refused.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from kia.errors import DataError
from kia.tables.notes import first_of, note

T = TypeVar("T")

_WORD = re.compile(r"\w+")
_SAME = 0.5  # share of words that two spellings of one report have in common at the least


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
        may_lack: Rows without a value are said and left out; else they are an error.

    Raises:
        DataError: There are other rows than reports.
    """
    ids = list(table)
    rows = {int(number) - first: value for number, value in values.items()}
    beyond = max(rows, default=-1) >= len(ids)
    if beyond or (len(rows) != len(ids) and not may_lack):
        raise DataError(
            f"{file} has {max(len(rows), max(rows, default=-1) + 1)} rows and {reports} "
            f"{len(ids)} reports: {file} was made from another table"
        )
    if missing := [name for row, name in enumerate(ids) if row not in rows]:
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
