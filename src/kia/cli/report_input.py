"""Reports that commands read: lines of a text file, a CSV, a folder of files, or one file."""

import csv
from pathlib import Path

from kia.errors import DataError, UsageError
from kia.studies import ID_COLUMNS

REPORT_COLUMNS = ("report", "report impression", "text")
MAX_NAME, MAX_NAMES = 40, 20  # characters of a column's name, and names, in an error line
SHAPES = "give a .txt file (a report a line), a .csv file or a folder of .txt files"


def read_reports(path: Path, column: str | None = None) -> list[tuple[str, str]]:
    """The reports of a file or folder, in order; blank ones are kept, so that none is lost.

    Args:
        path: A text file with a report a line (ids are line numbers); a CSV (ids from a column
            `id`, `study_id` or `uid`, else row numbers); or a folder of .txt files,
            searched with its subfolders (ids are paths without .txt).
        column: The column of a CSV that holds the reports; `report`, `report impression` or
            `text`, in any case, if absent.

    Returns:
        (id, text) of each report; ids are unique.

    Raises:
        DataError: Nothing is there, it is empty, not UTF-8 or not of the three shapes, a CSV has
            no such column or a ragged row, or an id occurs twice.
        UsageError: A column was given but the input is no CSV.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; {SHAPES}")
    suffix = path.suffix.lower()
    if column is not None and (path.is_dir() or suffix != ".csv"):
        raise UsageError(f"--column names a column of a .csv file; {path} is none")
    if path.is_dir():
        reports = _from_folder(path)
    elif suffix == ".csv":
        reports = _from_csv(path, column)
    elif suffix in (".txt", ""):
        reports = _from_lines(path)
    else:
        raise DataError(f"{path}: {suffix} is not a kind of file that holds reports; {SHAPES}")
    _refuse_repeated_ids(path, reports)
    return reports


def read_one_report(path: Path, option: str = "--report") -> str:
    """The text of a file that an option names.

    Args:
        path: UTF-8 text, one report.
        option: For the error.

    Raises:
        UsageError: It is not there, not UTF-8 text, or empty.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{option} {path}: {reason}") from None
    if not text:
        raise UsageError(f"{option} {path}: is empty")
    return text


def _from_folder(folder: Path) -> list[tuple[str, str]]:
    files = sorted(file for file in folder.rglob("*.txt") if file.is_file())
    if not files:
        raise DataError(f"{folder}: no .txt file in this folder; {SHAPES}")
    return [(file.relative_to(folder).with_suffix("").as_posix(), _text(file)) for file in files]


def _from_lines(path: Path) -> list[tuple[str, str]]:
    text = _text(path).rstrip()
    if not text:
        raise DataError(f"{path}: is empty; it needs a report a line")
    return [(str(number), line.strip()) for number, line in enumerate(text.split("\n"), 1)]


def _from_csv(path: Path, column: str | None) -> list[tuple[str, str]]:
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses reports above 128 KiB
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            report, identity = _columns(path, header, column)
            reports = []
            for number, row in enumerate((row for row in reader if row), 1):
                if len(row) != len(header):
                    raise DataError(
                        f"{path}: line {reader.line_num} has {len(row)} values for "
                        f"{len(header)} columns; quote reports that hold commas"
                    )
                reports.append((str(number) if identity is None else row[identity], row[report]))
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: not readable as CSV ({error})") from None
    finally:
        csv.field_size_limit(limit)
    if not reports:
        raise DataError(f"{path}: has no row below its header")
    return reports


def _columns(path: Path, header: list[str], column: str | None) -> tuple[int, int | None]:
    """Positions of the reports and of the ids (None: there are none)."""
    if not header:
        raise DataError(f"{path}: is empty; it needs a header with a column of reports")
    names = [name.strip().lower() for name in header]
    wanted = REPORT_COLUMNS if column is None else (column.strip().lower(),)
    report = next((names.index(name) for name in wanted if name in names), None)
    if report is None:
        raise DataError(
            f"{path}: no column {' or '.join(wanted)}; it has {_listed(header)} "
            "(name the one with the reports by --column)"
        )
    ids = (names.index(name) for name in ID_COLUMNS if name in names)
    return report, next((position for position in ids if position != report), None)


def _listed(header: list[str]) -> str:
    """Column names for an error line; without a header these would be a patient's report."""
    named = [name if len(name) <= MAX_NAME else "(no name, but a long text)" for name in header]
    return ", ".join(named[:MAX_NAMES]) + (", …" if len(named) > MAX_NAMES else "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: not readable ({error.strerror or error})") from None


def _refuse_repeated_ids(path: Path, reports: list[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for identity, _ in reports:
        if identity in seen:
            raise DataError(f"{path}: the id {identity[:80]} occurs twice; ids must differ")
        seen.add(identity)
