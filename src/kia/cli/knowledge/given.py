"""Reports that `kia knowledge label`, `graph` and `structure` are given, and their language."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kia.errors import UsageError

Language = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="CODE",
        help="reports that are not in English are left out, unless they are in this language "
        "(de, fr, es …), or it is any: then they are read by the rules of English",
    ),
]


def unread(texts: Sequence[str], language: str) -> dict[int, str]:
    """Place of each report that is left out → its language; says in a line how many they are."""
    from kia.cli.console import err
    from kia.knowledge.language import check_language, is_read, language_of, left_out

    check_language(language)
    found = {
        place: language_of(text) for place, text in enumerate(texts) if not is_read(text, language)
    }
    if found:
        err.print(
            f"{len(found)} of {len(texts)} reports are not in English ({left_out(found.values())}) "
            "and are left out; --language any reads them all the same",
            soft_wrap=True,
            markup=False,
        )
    return found


def given_reports(
    reports: Path,
    id_column: str | None,
    report_column: str | None,
    out: Path | None,
    json_file: Path | None,
) -> list[tuple[str, str]]:
    """(id, text) of a file of reports, once it is sure that what is written will not be that file.

    Raises:
        DataError: The file cannot be read.
        UsageError: A file to write is a folder, or the file of reports.
    """
    from kia.tables.reports import read_reports

    for name, file in (("--out", out), ("--json", json_file)):
        if file is not None and file.is_dir():
            raise UsageError(f"{name} {file} is a folder; name a file")
    found = read_reports(reports, id_column=id_column, report_column=report_column)
    for name, file in (("--out", out), ("--json", json_file)):
        if file is not None and file.exists() and file.samefile(reports):
            raise UsageError(f"{name} {file} is the file with the reports; name another")
    return found
