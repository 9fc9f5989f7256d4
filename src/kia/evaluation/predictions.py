"""Files of reports of any system: JSON lines, CSV, or plain text with a report a line.

A study has an id and a report; further columns (view, sex, age …) may split the results.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kia.errors import DataError
from kia.evaluation.coverage import first_ids
from kia.files.plain import parse_json
from kia.files.regular import MOST_TABLE, open_file, read_text
from kia.studies import ID_COLUMNS

TRAIN_EMBEDDINGS = "train-embeddings.npy"
"""Name of the file, beside the predictions, with the model's embeddings of the training images."""

REPORT_COLUMNS = ("report", "text")
"""Names of the column of texts in a CSV, in any case; the first that is there counts."""

_SHAPE = '{"id": "…", "report": "…"}'


@dataclass(frozen=True)
class ReportFile:
    """What a file of reports says.

    Attributes:
        reports: Id → raw report, in the order of the file.
        columns: Name of a further column → id → value.
    """

    reports: dict[str, str]
    columns: dict[str, dict[str, str]] = field(default_factory=dict)


def read_reports(path: str | Path) -> dict[str, str]:
    """Id → raw report, in the order of the file; see `read_report_file`."""
    return read_report_file(path).reports


def read_report_file(path: str | Path) -> ReportFile:
    """Read reports and further columns.

    Args:
        path: .csv or .tsv: a header with `id` (or `study_id`, `uid`) and `report` (or `text`).
            .txt: a report a line, empty ones too; ids are line numbers from 1. Anything else:
            JSON lines with "id" and "report"; empty lines are skipped.

    Raises:
        DataError: The file is missing or empty, a line is malformed, or ids come twice.
    """
    path = Path(path)
    kind = path.suffix.lower()
    read = {".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_text}.get(kind, _read_json_lines)
    reports: dict[str, str] = {}
    columns: dict[str, dict[str, str]] = {}
    lines: dict[str, list[int]] = {}
    for line, id_, report, more in read(path):
        lines.setdefault(id_, []).append(line)
        reports[id_] = report
        for name, value in more.items():
            columns.setdefault(name, {})[id_] = value
    if not reports:
        raise DataError(f"{path} is empty: it needs one report a study")
    if doubled := [id_ for id_, found in lines.items() if len(found) > 1]:
        where = " and ".join(map(str, lines[doubled[0]][:2]))
        raise DataError(
            f"{path}: {len(doubled)} ids occur more than once: {first_ids(doubled)} "
            f"(the first on lines {where})"
        )
    return ReportFile(reports, columns)


_Row = tuple[int, str, str, dict[str, str]]  # line, id, report, other columns


def _read_json_lines(path: Path) -> Iterator[_Row]:
    for number, line in enumerate(_read_whole(path).split("\n"), 1):
        if line.strip():
            yield number, *_parse(line, f"{path}, line {number}")


def _read_text(path: Path) -> Iterator[_Row]:
    text = _read_whole(path).replace("\r\n", "\n")
    if text:
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
            yield number, str(number), line, {}


def _read_csv(path: Path) -> Iterator[_Row]:
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses reports above 128 KiB
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        lines = io.StringIO(_read_whole(path), newline="")
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = [name.strip().lower() for name in next(reader, [])]
        id_, report = (_column(path, header, names) for names in (ID_COLUMNS, REPORT_COLUMNS))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns; "
                    "quote reports that hold commas"
                )
            if not row[id_].strip():
                raise DataError(f"{path}, line {reader.line_num} has no id")
            more = {header[i]: row[i] for i in range(len(row)) if i not in (id_, report)}
            yield reader.line_num, row[id_].strip(), row[report], more
    except csv.Error as error:
        raise DataError(f"{path} is not readable as CSV ({error})") from None
    finally:
        csv.field_size_limit(limit)


def _column(path: Path, header: list[str], names: tuple[str, ...]) -> int:
    if not header:
        raise DataError(f"{path} is empty: it needs a header with id and report")
    for name in names:
        if name in header:
            return header.index(name)
    raise DataError(f"{path} has no column {' or '.join(names)} in its first line")


def _read_whole(path: Path) -> str:
    try:
        return read_text(path, MOST_TABLE).removeprefix("\ufeff")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path} is {error}") from None


def _parse(line: str, where: str) -> tuple[str, str, dict[str, str]]:
    try:
        record: Any = parse_json(line)
    except ValueError as error:
        raise DataError(f"{where}: {error}; expected {_SHAPE}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where} is not a JSON object; expected {_SHAPE}")
    for key in ("id", "report"):
        if key not in record:
            raise DataError(f"{where} has no {key!r}; expected {_SHAPE}")
    id_, report = record["id"], record["report"]
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise DataError(f"{where}: the id must be a text or a whole number")
    if not isinstance(report, str):
        raise DataError(f"{where}: the report must be a text")
    more = {
        str(name).lower(): str(value)
        for name, value in record.items()
        if name not in ("id", "report") and isinstance(value, str | int | float)
    }
    return str(id_), report, more


def read_embeddings(predictions: str | Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Image embeddings that lie beside a file of predictions.

    Args:
        predictions: The JSON lines, ``<stem>.jsonl``.

    Returns:
        Embeddings of the training images, (n, P), from ``train-embeddings.npy``, and of the
        predicted studies in the order of the predictions, (m, P), from
        ``<stem>.embeddings.npy``; None unless both files are there.

    Raises:
        DataError: A file is damaged.
    """
    path = Path(predictions)
    files = path.with_name(TRAIN_EMBEDDINGS), path.with_name(f"{path.stem}.embeddings.npy")
    if not all(file.is_file() for file in files):
        return None
    train, query = map(_load, files)
    return train, query


def _load(path: Path) -> np.ndarray:
    try:
        open_file(path).close()
        embeddings = np.load(path, allow_pickle=False)
        if not isinstance(embeddings, np.ndarray) or embeddings.dtype.kind not in "fiu":
            raise ValueError("no array of numbers")
    except Exception as error:  # numpy parses the header as Python, which raises a lot
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read embeddings from {path}: {reason}") from None
    return embeddings
