"""Files of reports of any system, in the forms in which systems and benchmarks write them.

A study has an id and a report; further columns (view, sex, age …) may split the results.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kia.errors import DataError
from kia.evaluation.coverage import first_ids
from kia.evaluation.reports.columns import (
    Choice,
    Role,
    no_text_column,
    put_together,
    reference_beside,
    report_text,
    rexrank_text,
    text_column,
)
from kia.evaluation.reports.files import file_entries
from kia.evaluation.reports.forms import Entry
from kia.tables.notes import note

TRAIN_EMBEDDINGS = "train-embeddings.npy"
"""Name of the file, beside the predictions, with the model's embeddings of the training images."""

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class ReportFile:
    """What a file of reports says.

    Attributes:
        reports: Id → raw report, in the order of the file.
        columns: Name of a further column → id → value.
        has_ids: False where ids are row numbers from 1.
        references: Id → reference, where a file of predictions holds both.
    """

    reports: dict[str, str]
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    has_ids: bool = True
    references: dict[str, str] | None = None


def read_reports(path: str | Path, role: Role = "predictions") -> dict[str, str]:
    """Id → raw report, in the order of the file; see `read_report_file`."""
    return read_report_file(path, role).reports


def read_report_file(
    path: str | Path, role: Role = "predictions", choice: Choice | None = None
) -> ReportFile:
    """Read reports and further columns.

    Args:
        path: .csv, .tsv, .xlsx or .parquet (`kia.tables`): a header with ids and reports by the
            field's names, or without a header one column of reports (R2Gen's res.csv, gts.csv).
            .txt: a report a line, empty ones too. .json: `kia.evaluation.reports.forms`. Anything
            else: JSON lines with an id and a report; empty lines are skipped. Without ids studies
            are numbered from 1.
        role: Whether the generated reports or the references are looked for.
        choice: Columns by the user's names, and the like.

    Raises:
        DataError: The file is missing or empty, a line is malformed, or ids come twice.
    """
    path, choice = Path(path), choice or Choice()
    found = file_entries(path, choice)
    with_ids = [entry.id is not None for entry in found]
    if any(with_ids) and not all(with_ids):
        raise DataError(f"{found[with_ids.index(False)].place}: the id is missing")
    names = list(dict.fromkeys(name for entry in found for name in entry.values))
    read = _Texts(path, names, role, choice)
    reports: dict[str, str] = {}
    references: dict[str, str] = {}
    columns: dict[str, dict[str, str]] = {}
    places: dict[str, list[str]] = {}
    for number, entry in enumerate(found, 1):
        id_ = entry.id if entry.id is not None else str(number)
        places.setdefault(id_, []).append(entry.place)
        reports[id_] = read.text(entry)
        if read.beside is not None:
            references[id_] = report_text(entry.values.get(read.beside), entry.place)
        for name in read.others(entry):
            columns.setdefault(name, {})[id_] = str(entry.values[name])
    _refuse_doubled(path, places)
    if empty := [name for name, text in reports.items() if not text.strip()]:
        note(f"{path}: {len(empty)} of {len(reports)} reports are empty ({first_ids(empty)})")
    return ReportFile(reports, columns, all(with_ids), references or None)


class _Texts:
    """Which values of entries are reports; see `kia.evaluation.reports.columns`."""

    def __init__(self, path: Path, names: Sequence[str], role: Role, choice: Choice) -> None:
        where = str(path)
        self.parts: tuple[str, str] | None = None
        self.beside: str | None = None
        self.column: str | None
        known = None
        if role == "references" and choice.report_column is None:
            known = rexrank_text(where, names, choice.headed)
        if known is not None:
            self.column, self.parts = known
        else:
            self.column = text_column(where, names, role, choice.report_column)
            if self.column is None:
                raise no_text_column(where, names, role)
        if role == "predictions":
            self.beside = reference_beside(where, names, self.column, choice.reference_column)

    def text(self, entry: Entry) -> str:
        """The report of an entry."""
        if self.parts is not None:
            return put_together(entry.values, self.parts)
        assert self.column is not None  # the constructor refuses files without
        text = report_text(entry.values.get(self.column), entry.place)
        if _HALF_CHARACTER.search(text):
            raise DataError(
                f"{entry.place}: an escape such as \\ud83d is half of a character; write both"
            )
        return text

    def others(self, entry: Entry) -> Iterator[str]:
        """Names of what else an entry says in a word or a number."""
        for name, value in entry.values.items():
            if name not in (self.column, self.beside) and isinstance(value, str | int | float):
                yield name


def _refuse_doubled(path: Path, places: dict[str, list[str]]) -> None:
    if doubled := [id_ for id_, found in places.items() if len(found) > 1]:
        where = " and ".join(place.rpartition(", ")[2] for place in places[doubled[0]][:2])
        raise DataError(
            f"{path}: {len(doubled)} ids occur more than once: {first_ids(doubled)} "
            f"(the first on {where}); --id-column names another column"
        )


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
        embeddings = np.load(path, allow_pickle=False)
        if not isinstance(embeddings, np.ndarray) or embeddings.dtype.kind not in "fiu":
            raise ValueError("no array of numbers")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read embeddings from {path}: {error}") from None
    return embeddings
