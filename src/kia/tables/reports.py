"""Reports that people hand over: a table, lines of a text file, a folder of files, or one file."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from kia.errors import DataError, UsageError
from kia.tables.columns import ALIASES, OPTIONS, plain
from kia.tables.delimited import SEPARATORS
from kia.tables.notes import first_of, note
from kia.tables.table import open_table
from kia.tables.text import TextFile

SHAPES = "give a .txt file (a report a line), a table or a folder of .txt files"

_LONGEST_HEADER = 10_000  # characters

Reports = list[tuple[str, str]]
"""(id, text) of each report."""


def read_reports(
    path: str | Path, *, id_column: str | None = None, report_column: str | None = None
) -> Reports:
    """The reports of a file or folder, in order; missing ones are empty texts, so none is lost.

    Args:
        path: A table (`kia.tables.table`), whose ids are row numbers where it has no column of
            ids; a text file with a report a line (ids are line numbers); or a folder of .txt
            files, searched with its subfolders (ids are paths without .txt).
        id_column: The column of a table with the ids, where it has another name than usual.
        report_column: That with the reports.

    Returns:
        (id, text) of each report; ids are unique. A note counts the missing reports of a table.

    Raises:
        DataError: Nothing is there, it is empty or damaged, a table has no such column or a
            ragged row, or an id is missing or occurs twice.
        UsageError: A column is named but the input is no table.
    """
    path = Path(path)
    named = {"id": id_column, "report": report_column}
    if path.is_dir():
        _refuse_columns(path, named)
        reports = _from_folder(path)
    elif holds_lines(path, named):
        _refuse_columns(path, named)
        reports = _from_lines(path)
    else:
        reports = _from_table(path, named)
    counts = Counter(identity for identity, _ in reports)
    if doubled := next((name for name, count in counts.items() if count > 1), None):
        raise DataError(f"{path}: the id {doubled[:80]} occurs twice; ids must differ")
    return reports


def read_one_report(path: str | Path, option: str = "--report") -> str:
    """The text of a file that an option names.

    Args:
        path: Text, one report.
        option: For the error.

    Raises:
        UsageError: It is not there, no text, or empty.
    """
    try:
        text = _texts([Path(path)])[0].strip()
    except DataError as error:
        raise UsageError(f"{option} {error}") from None
    if not text:
        raise UsageError(f"{option} {path}: is empty")
    return text


def _refuse_columns(path: Path, named: dict[str, str | None]) -> None:
    for role, name in named.items():
        if name is not None:
            raise UsageError(f"{OPTIONS[role]} names a column of a table; {path} is none")


def _from_folder(folder: Path) -> Reports:
    files = sorted(file for file in folder.rglob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{folder}: no .txt file in this folder; {SHAPES}")
    names = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    return list(zip(names, _texts(files), strict=True))


def _from_lines(path: Path) -> Reports:
    text = _texts([path])[0].rstrip()
    if not text:
        raise DataError(f"{path}: is empty; it needs a report a line")
    return [(str(number), line.strip()) for number, line in enumerate(text.split("\n"), 1)]


def holds_lines(path: Path, named: Mapping[str, str | None] | None = None) -> bool:
    """Whether a file has a report a line, and is no table as Excel's "Unicode Text" is one.

    Args:
        path: A .txt, or a file without an ending; others are tables.
        named: "id" and "report" → the user's names for these columns.
    """
    named = named or {}
    suffix = path.suffix.lower()
    if suffix not in (".txt", "") or not path.exists():
        return False
    first = next(TextFile(path).lines(), "").removeprefix("\ufeff")
    return not suffix or not any(_is_header(first, separator, named) for separator in SEPARATORS)


def _is_header(line: str, separator: str, named: Mapping[str, str | None]) -> bool:
    """Whether a line names a column of reports and one of ids."""
    if len(line) > _LONGEST_HEADER:
        return False
    names = {plain(name) for name in next(csv.reader([line], delimiter=separator), [])}
    reports, ids = (
        {plain(chosen)} if (chosen := named.get(role)) else {*ALIASES[role]}
        for role in ("report", "id")
    )
    return bool(reports & names) and bool(ids & names)


def _from_table(path: Path, named: dict[str, str | None]) -> Reports:
    table = open_table(path, ("report",), ("id",), named=named)
    reports: Reports = []
    missing = []
    for number, row in enumerate(table, 1):
        if row.problem is not None:
            raise DataError(f"{table.where(row)}: {row.problem}")
        identity = row.values.get("id", str(number))
        if identity is None:
            raise DataError(f"{table.where(row)}: no id")
        text = row.values["report"]
        if text is None:
            missing.append(identity)
        reports.append((identity, text or ""))
    if missing:
        note(f"{path}: {len(missing)} of {len(reports)} reports are missing ({first_of(missing)})")
    return reports


def _texts(files: Sequence[Path]) -> list[str]:
    """Contents of text files; a note counts those that are not UTF-8."""
    texts = []
    remarks: Counter[str] = Counter()
    for file in files:
        text = TextFile(file)
        texts.append("".join(text.chunks()))
        remarks.update(text.remarks)
    for remark, count in remarks.items():
        note(f"{files[0] if len(files) == 1 else f'{count} of {len(files)} files'}: {remark}")
    return texts
