"""Labels and graphs from files of the field's tools, by the ids of a data set's studies."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.ids import Matched, match_ids
from kia.knowledge.radgraph import ReportGraph
from kia.knowledge.rows import graph_records_by_id, labels_by_id
from kia.tables.cells import identity
from kia.tables.notes import note
from kia.tables.table import open_table, read_rows

Labels = Mapping[str, int | None]


def imported_labels(
    path: Path,
    ids: Iterable[str],
    reports: Path | None = None,
    studies: Mapping[str, str] | None = None,
    named: Mapping[str, str | None] | None = None,
) -> dict[str, Labels]:
    """Labels of studies from a file (`kia.knowledge.chexpert.read_label_file`).

    Args:
        path: With ids of its own, or with the rows of `reports`.
        ids: Of the studies.
        reports: The table that a file without ids was made from.
        studies: dicom_id → study id, where samples are images.
        named: "id" and "report" → the user's names for these columns, where they are there.

    Returns:
        Study id → labels, for those that the file has.

    Raises:
        DataError: A file is malformed, names none of the studies, or has other rows than `reports`.
    """
    own = (named or {}).get("id")
    values = labels_by_id(path, lambda: _table(path, reports, named), reports, own)
    return {name: values[other] for name, other in _matched(path, ids, values, studies).items()}


def imported_graphs(
    path: Path,
    ids: Iterable[str],
    reports: Path | None = None,
    studies: Mapping[str, str] | None = None,
    named: Mapping[str, str | None] | None = None,
) -> dict[str, ReportGraph]:
    """Graphs of studies from a file; arguments as in `imported_labels`."""
    ids = list(ids)
    records = graph_records_by_id(path, lambda: _table(path, reports, named), reports, ids)
    return {
        name: ReportGraph.from_record(records[other], f"{path}, report {other}")
        for name, other in _matched(path, ids, records, studies).items()
    }


def read_metadata(path: Path) -> dict[str, str]:
    """dicom_id → study_id, from MIMIC-CXR-JPG's `mimic-cxr-2.0.0-metadata.csv.gz`.

    Raises:
        DataError: It cannot be read, or has not these columns.
    """
    rows = read_rows(path, ("dicom_id", "study_id"))
    return {identity(row["dicom_id"]): identity(row["study_id"]) for row in rows}


def _table(
    path: Path, reports: Path | None, named: Mapping[str, str | None] | None
) -> dict[str, str]:
    """Id → report of the table that a file without ids was made from."""
    if reports is None:
        raise DataError(
            f"{path} has rows and no ids: --label-reports FILE names the table with ids and "
            "reports that it was made from"
        )
    found: dict[str, str] = {}
    table = open_table(reports, ("id", "report"), preferred=named)
    for row in table:
        if row.problem is not None or row.values["id"] is None:
            raise DataError(f"{table.where(row)}: {row.problem or 'the id is missing'}")
        if row.values["id"] in found:
            raise DataError(f"{table.where(row)}: the id is there twice")
        found[row.values["id"]] = row.values["report"] or ""
    return found


def _matched(
    path: Path,
    ids: Iterable[str],
    given: Mapping[str, Any],
    studies: Mapping[str, str] | None,
) -> Mapping[str, str]:
    matched: Matched = match_ids(ids, given, studies)
    line = matched.line("studies of the data set", str(path))
    if not matched.pairs:
        raise DataError(line)
    if matched.missing:
        note(line)
    return matched.pairs
