"""The 14 CheXpert observations, the label report (Paper: Sec. 3.2, Fig. 4b), files of labels."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kia.errors import DataError
from kia.studies import ID_COLUMNS
from kia.tables.cells import identity, text_of
from kia.tables.columns import plain
from kia.tables.table import open_table

OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)

_TEXTS = ("reports", "report impression", "report")
_BESIDE = {*ID_COLUMNS, "subject_id", *_TEXTS}
_VALUES = {"1": 1, "0": 0, "-1": -1}
_NAMED = {name.lower(): name for name in OBSERVATIONS}


@dataclass(frozen=True)
class LabelFile:
    """What a file of labels says.

    Attributes:
        labels: Id → labels of the 14, in the order of the file; ids are row numbers from 1 where
            the file has none.
        has_ids: False for the output of the CheXpert labeler and of CheXbert, whose rows are those
            of the table that it was made from.
        texts: Id → the report that was labelled, where the file has it.
    """

    labels: dict[str, dict[str, int | None]]
    has_ids: bool
    texts: dict[str, str]


def label_report(
    labels: Mapping[str, int | None], uncertain_as: Literal["present", "absent", "skip"] = "present"
) -> str:
    """The sentence that names each observation as present or absent, in the order of the 14.

    Args:
        labels: Observation → 1 present, 0 absent, −1 uncertain, None unmentioned. Everything but
            1 and −1 is absent.
        uncertain_as: How −1 is worded; "skip" as present (the caller leaves its word out of the
            loss).
    """
    present = (1,) if uncertain_as == "absent" else (1, -1)
    parts = [
        f"{name.lower()} is {'present' if labels.get(name) in present else 'absent'}"
        for name in OBSERVATIONS
    ]
    return f"in this radiology image, {', '.join(parts)}."


def read_labels(path: Path) -> dict[str, dict[str, int | None]]:
    """Id → labels, in the order of the file; see `read_label_file`."""
    return read_label_file(path).labels


def read_label_file(path: Path, id_column: str | None = None) -> LabelFile:
    """Labels of reports, as the CheXpert labeler, CheXbert, MIMIC-CXR or kia write them.

    Sources: `label.py` of github.com/stanfordmlgroup/chexpert-labeler (a column `Reports`, then the
    observations, no ids), `label.py` of github.com/stanfordmlgroup/CheXbert (`Report Impression`),
    `mimic-cxr-2.0.0-chexpert.csv.gz` of MIMIC-CXR-JPG (subject_id, study_id).

    Args:
        path: A table (`kia.tables`) with a column for each observation with 1, 0, −1 or nothing
            (also as 1.0 …), and beside them no other than ids, `subject_id`, and the reports' own.
        id_column: The column of ids, if it is there; else the usual ones.

    Raises:
        DataError: The file is not readable, a column is unknown, missing or doubled, a value is
            none of the four, or an id occurs twice.
    """
    path = Path(path)
    text = next((name for name in _TEXTS if name in open_table(path).columns), None)
    prose = () if text is None else (text,)
    table = open_table(path, (), ("id", *_NAMED), preferred={"id": id_column}, prose=prose)
    names = {*ID_COLUMNS, plain(id_column or "id")}
    _check_columns(path, table.columns, names)
    has_ids = not names.isdisjoint(table.columns)
    found = LabelFile({}, has_ids, {})
    for number, row in enumerate(table, 1):
        where = table.where(row)
        if row.problem is not None:
            raise DataError(f"{where}: {row.problem}")
        name = row.values["id"] if has_ids else str(number)
        if name is None or name in found.labels:
            raise DataError(f"{where}: the id is {'missing' if name is None else 'there twice'}")
        found.labels[name] = {
            observation: _label(row.values[column], observation, where)
            for column, observation in _NAMED.items()
        }
        if text is not None:
            found.texts[name] = text_of(row.values[text] or "")
    return found


def write_labels(path: Path, labels: Mapping[str, Mapping[str, int | None]]) -> None:
    """Writes id and the 14 observations as CSV; the file is there whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", *OBSERVATIONS])
            for name, row in labels.items():
                writer.writerow([name, *(row.get(observation) for observation in OBSERVATIONS)])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _label(value: Any, observation: str, where: str) -> int | None:
    """A cell's label."""
    if value is None:
        return None
    text = identity(value)
    if text not in _VALUES:
        raise DataError(f"{where}: {observation} is {text[:20]!r}; labels are 1, 0, -1 or nothing")
    return _VALUES[text]


def _check_columns(path: Path, columns: tuple[str, ...], ids: set[str]) -> None:
    known = {*_NAMED, *_BESIDE, *ids}
    unknown = [name for name in columns if name not in known]
    if unknown and not set(_NAMED) & set(columns):
        raise DataError(f"{path}: no column {', '.join(OBSERVATIONS)}; is it a file of labels?")
    if unknown:
        raise DataError(
            f"{path}: unknown column {unknown[0][:40]!r}; a file of labels has the 14 observations "
            f"and one of {', '.join(ID_COLUMNS)}"
        )
    if missing := [name for column, name in _NAMED.items() if column not in columns]:
        raise DataError(f"{path}: no column {', '.join(missing)}")
