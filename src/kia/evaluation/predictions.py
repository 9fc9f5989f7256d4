"""Files of reports of any system, in the forms in which systems and benchmarks write them.

A study has an id and a report; further columns (view, sex, age …) may split the results.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kia.errors import DataError
from kia.evaluation.coverage import first_ids
from kia.evaluation.reports.columns import Choice, Role, are_headed, reference_beside, source_of
from kia.evaluation.reports.files import file_entries
from kia.evaluation.reports.forms import Entry
from kia.files.regular import open_file
from kia.ids import match_ids
from kia.studies import ID_COLUMNS
from kia.tables.notes import note

TRAIN_EMBEDDINGS = "train-embeddings.npy"
"""Name of the file, beside the predictions, with the model's embeddings of the training images."""


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


def read_reports(
    path: str | Path, role: Role = "predictions", choice: Choice | None = None
) -> dict[str, str]:
    """Id → raw report, in the order of the file; see `read_report_file`."""
    return read_report_file(path, role, choice).reports


def read_reports_for(
    path: str | Path, ids: Iterable[str], choice: Choice | None = None
) -> dict[str, str]:
    """Id → raw report for those of some studies that a file has (`kia.ids`).

    Args:
        path: As for `read_report_file`. Without ids of its own its rows are the studies in order.
        ids: Of the studies.
        choice: Columns by the user's names.

    Raises:
        DataError: The file has no ids, and not as many rows as there are studies.
    """
    ids, found = list(ids), read_report_file(path, choice=choice)
    if not found.has_ids:
        if len(found.reports) != len(ids):
            rows = len(found.reports)
            raise DataError(f"{path} has no ids, and {rows} rows for {len(ids)} studies")
        return dict(zip(ids, found.reports.values(), strict=True))
    pairs = match_ids(ids, found.reports, one_to_one=True).pairs
    return {name: found.reports[other] for name, other in pairs.items()}


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
    found, has_ids = _with_ids(path, choice)
    names = list(dict.fromkeys(name for entry in found.values() for name in entry.values))
    source = source_of(str(path), names, role, choice)
    reports = {id_: source.text(entry.values, entry.place) for id_, entry in found.items()}
    if empty := [id_ for id_, text in reports.items() if not text.strip()]:
        note(f"{path}: {len(empty)} of {len(reports)} reports are empty ({first_ids(empty)})")
    beside = None
    if role == "predictions":
        headed = are_headed(list(reports.values()))
        beside = reference_beside(str(path), names, source.column, choice.reference_column, headed)
    references = None
    if beside is not None:
        references = {id_: beside.text(one.values, one.place) for id_, one in found.items()}
    taken = {source.column, None if beside is None else beside.column}
    return ReportFile(reports, _columns(found, taken), has_ids, references)


def _with_ids(path: Path, choice: Choice) -> tuple[dict[str, Entry], bool]:
    """Id → entry, and whether the file has ids; else they are row numbers from 1."""
    found = file_entries(path, choice)
    with_ids = [entry.id is not None for entry in found]
    if choice.id_column is not None and not any(with_ids):
        raise DataError(f"{path}: no column {choice.id_column}, nor one of {', '.join(ID_COLUMNS)}")
    if any(with_ids) and not all(with_ids):
        raise DataError(f"{found[with_ids.index(False)].place}: the id is missing")
    places: dict[str, list[str]] = {}
    entries: dict[str, Entry] = {}
    for number, entry in enumerate(found, 1):
        id_ = str(number) if entry.id is None else entry.id
        places.setdefault(id_, []).append(entry.place)
        entries[id_] = entry
    _refuse_doubled(path, places)
    return entries, all(with_ids)


def _columns(
    entries: Mapping[str, Entry], taken: Collection[str | None]
) -> dict[str, dict[str, str]]:
    """Name → id → value of what else entries say in a word or a number."""
    columns: dict[str, dict[str, str]] = {}
    for id_, entry in entries.items():
        for name, value in entry.values.items():
            if name not in taken and isinstance(value, str | int | float):
                columns.setdefault(name, {})[id_] = str(value)
    return columns


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
        open_file(path).close()
        embeddings = np.load(path, allow_pickle=False)
        if not isinstance(embeddings, np.ndarray) or embeddings.dtype.kind not in "fiu":
            raise ValueError("no array of numbers")
    except Exception as error:  # numpy parses the header as Python, which raises a lot
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read embeddings from {path}: {reason}") from None
    return embeddings
