"""NIH ChestX-ray14: frontal films with labels that were mined from reports, and no reports.

Source: Wang et al., "ChestX-ray8: Hospital-scale chest X-ray database and benchmarks", CVPR 2017:
112,120 images of 30,805 patients (NIH Clinical Center; free to use with attribution), with
`Data_Entry_2017.csv`, `BBox_List_2017.csv` (984 boxes), `train_val_list.txt` and `test_list.txt`.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from kia.data.readers.inputs import ListedInputs
from kia.data.readers.labelled import (
    Files,
    labelled_inputs,
    named_column,
    patient_column,
    same_or_refuse,
)
from kia.data.readers.splits import RandomSplit
from kia.errors import DataError
from kia.files.regular import MOST_TABLE, read_text
from kia.imaging.views import view_named
from kia.imaging.workers import Reject
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import Split, Study, StudyImage
from kia.tables.cells import identity, number
from kia.tables.table import Row, open_table, read_rows

FINDINGS: Mapping[str, tuple[str, ...]] = {
    "Atelectasis": ("Atelectasis", "Lung Opacity"),
    "Cardiomegaly": ("Cardiomegaly",),
    "Consolidation": ("Consolidation", "Lung Opacity"),
    "Edema": ("Edema", "Lung Opacity"),
    "Effusion": ("Pleural Effusion",),
    "Emphysema": (),
    "Fibrosis": (),
    "Hernia": (),
    "Infiltration": ("Lung Opacity",),
    "Mass": ("Lung Lesion", "Lung Opacity"),
    "No Finding": ("No Finding",),
    "Nodule": ("Lung Lesion", "Lung Opacity"),
    "Pleural_Thickening": ("Pleural Other",),
    "Pneumonia": ("Pneumonia", "Lung Opacity"),
    "Pneumothorax": ("Pneumothorax",),
}
"""What each label of NIH says among the 14 observations, by CheXpert's hierarchy (Irvin et al.
2019, Fig. 1: what makes the lung opaque is a Lung Opacity)."""

NOT_ANNOTATED = ("Enlarged Cardiomediastinum", "Fracture", "Support Devices")
"""Observations that NIH did not look for. Lung Opacity is not one of its labels either: it is
absent where nothing was found, and unknown beside findings that say nothing of it."""

_SIDE = 1024  # pixels of a film, in which boxes are given


def nih_labels(text: str) -> dict[str, int | None]:
    """The 14 observations of a cell of `Finding Labels`: 1, 0, or None for not annotated.

    Raises:
        DataError: A label is none of NIH's.
    """
    found = [label.strip() for label in text.split("|")]
    if unknown := next((label for label in found if label not in FINDINGS), None):
        raise DataError(f"the label {unknown[:40]!r} is none of NIH's {len(FINDINGS)}")
    present = {name for label in found for name in FINDINGS[label]}
    nothing = "No Finding" in present
    if nothing and len(found) > 1:
        raise DataError("No Finding stands beside another label")
    unknown_too = (*NOT_ANNOTATED, *(() if nothing else ("Lung Opacity",)))
    absent = {name: None if name in unknown_too else 0 for name in OBSERVATIONS}
    return {name: 1 if name in present else absent[name] for name in OBSERVATIONS}


def read_nih(
    images: Path,
    labels: Path,
    *,
    boxes: Path | None = None,
    lists: tuple[Path, Path] | None = None,
    split: RandomSplit | None = None,
    by_image: bool = False,
) -> ListedInputs:
    """Studies of one film each, without reports; what NIH's own label says is a section of theirs.

    Args:
        images: Folder of the films, of whatever depth.
        labels: `Data_Entry_2017.csv`, or a table with the columns `filename`, `labels`,
            `patient_id` and `view`.
        boxes: `BBox_List_2017.csv`; they become a section, too, as fractions of the film.
        lists: The official `train_val_list.txt` and `test_list.txt`; validation is drawn by
            patient from the former.
        split: Drawn by patient; of the lists, its train and val.
        by_image: Draw by image, if there is no column of patients.

    Raises:
        DataError: A table is malformed, a label unknown, an image there twice with different
            labels, a patient in both lists, or no image is there.
        UsageError: The table has no patients, and `by_image` is not said.
    """
    table = open_table(labels)
    name = named_column(table, "image index", "filename")
    patient = patient_column(table, "patient id", "patient_id", by_image=by_image)
    view = named_column(table, "view position", "view")
    text = named_column(table, "finding labels", "labels")
    assert name and view and text
    seen: dict[str, Mapping[str, int | None]] = {}
    rows: dict[str, tuple[str, str, str]] = {}  # name → labels, patient, view
    for row in table:
        where = table.where(row)
        key = _cell(row, name, where)
        try:
            found = nih_labels(_cell(row, text, where))
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        if not same_or_refuse(seen, key, found, where):
            whose = _cell(row, patient, where) if patient else key
            rows[key] = (_cell(row, text, where), whose, str(row.values[view] or ""))
    patients = {key: whose for key, (_, whose, _) in rows.items()}
    splits = _splits(patients, lists, split or RandomSplit())
    places = {} if boxes is None else _boxes(boxes)
    files = Files(images)

    def studies() -> Iterator[Study | Reject]:
        for key, (said, whose, shown) in rows.items():
            try:
                if key not in splits:
                    raise DataError("in neither list")
                path, kind = files.find(key), view_named(shown)
                if kind is None:
                    raise DataError(f"view {shown[:20]!r} is neither frontal nor lateral")
            except DataError as error:
                yield Reject(key, str(error))
                continue
            sections = {"nih": said}
            if key in places:
                sections["boxes"] = json.dumps(places[key])
            image = (StudyImage(str(path), kind),)
            whom = whose if patient else None
            yield Study(
                Path(key).stem, splits[key], image, "", sections, labels=seen[key], patient=whom
            )

    return labelled_inputs(studies(), [labels, boxes, *(lists or ())])


def _cell(row: Row, column: str, where: str) -> str:
    if row.problem is not None:
        raise DataError(f"{where}: {row.problem}")
    if row.values[column] is None:
        raise DataError(f"{where}: no {column}")
    return identity(row.values[column])


def _splits(
    patients: Mapping[str, str], lists: tuple[Path, Path] | None, drawn: RandomSplit
) -> dict[str, Split]:
    """Split of each film: the official ones, or drawn by patient."""
    if lists is None:
        by_patient = drawn.draw(patients.values())
        return {name: by_patient[whose] for name, whose in patients.items()}
    rest, test = map(_listed, lists)
    ours, theirs = ({patients[n] for n in names if n in patients} for names in (rest, test))
    if both := rest & test or ours & theirs:
        raise DataError(f"{lists[0]} and {lists[1]} both hold {min(both)}")
    inner = RandomSplit(drawn.seed, (*drawn.ratio[:2], 0)).draw(ours)
    official: dict[str, Split] = {n: inner[patients[n]] for n in rest if n in patients}
    return official | dict.fromkeys(test, "test")


def _listed(path: Path) -> set[str]:
    try:
        return {*read_text(path, MOST_TABLE).split()}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _boxes(path: Path) -> dict[str, list[tuple[str, float, float, float, float]]]:
    """Name of a film → label, left, top, width and height as fractions, for each box."""
    found: dict[str, list[tuple[str, float, float, float, float]]] = defaultdict(list)
    columns = ("image index", "finding label", "bbox [x", "y", "w", "h]")
    for row in read_rows(path, columns):
        name, label, *sides = (row[column] for column in columns)
        try:
            x, y, w, h = (number(side) / _SIDE for side in sides)
        except ValueError:
            x = y = w = h = -1.0
        if not 0 <= min(x, y, w, h) <= max(x + w, y + h) <= 1:
            raise DataError(f"{path}: a box of {name} is not within {_SIDE} × {_SIDE} pixels")
        found[str(name)].append((str(label), x, y, w, h))
    return dict(found)
