"""CheXpert: frontal and lateral images with labels that were mined from reports, and no reports.

Source: Irvin et al., "CheXpert: a large chest radiograph dataset with uncertainty labels and expert
comparison", AAAI 2019: 224,316 images of 65,240 patients under Stanford's research agreement, with
`train.csv` and `valid.csv`. Tried on a double of that layout, not on the data.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from kia.data.readers.inputs import ListedInputs
from kia.data.readers.labelled import labelled_inputs, named_column, same_or_refuse
from kia.errors import DataError, ImageError
from kia.imaging.paths import ImageRoots
from kia.imaging.views import pair_of_views, view_named
from kia.imaging.workers import Reject
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import Split, Study, StudyImage
from kia.tables.cells import identity
from kia.tables.table import open_table

TABLES: Mapping[str, Split] = {"train.csv": "train", "valid.csv": "val", "test.csv": "test"}

_PATH = re.compile(r"(?:.*/)?((?:train|valid|test)/(patient\d+)/(study\d+)/[^/]+)")
_VALUES = {"1": 1, "0": 0, "-1": -1}

Blank = Literal["absent", "unknown"]


def read_chexpert(root: Path, *, blank: Blank = "absent") -> ListedInputs:
    """Studies of a first frontal and a first lateral image, without reports.

    Args:
        root: Folder with `train.csv`, `valid.csv` (or one of them) and the images below it.
        blank: What an empty label means: the report does not mention the observation, which then is
            absent as in all of kia and in the authors' own baselines, or not annotated.

    Raises:
        DataError: No table is there, a value is none of 1, 0, −1 and blank, the images of a study
            have different labels, a patient is in two splits, or no image is there.
    """
    tables = [root / name for name in TABLES if (root / name).is_file()]
    if not tables:
        raise DataError(f"{root}: holds neither train.csv nor valid.csv")
    seen: dict[str, Mapping[str, int | None]] = {}
    studies: dict[str, list[tuple[str, str]]] = {}  # id → path and view of each image
    splits: dict[str, Split] = {}
    patients: dict[str, str] = {}
    for table in tables:
        for where, path, view, labels in _rows(table, blank):
            match = _PATH.fullmatch(path)
            if match is None:
                raise DataError(f"{where}: {path[:80]!r} is no train/patient…/study…/image")
            below, patient, study = match.groups()
            name = f"{patient}/{study}"
            same_or_refuse(seen, name, labels, where)
            if splits.setdefault(patient, TABLES[table.name]) != TABLES[table.name]:
                raise DataError(f"{where}: {patient} is in {splits[patient]}, too")
            studies.setdefault(name, []).append((below, view))
            patients[name] = patient
    roots = ImageRoots(root)

    def made() -> Iterator[Study | Reject]:
        for name, listed in studies.items():
            try:
                images = [StudyImage(str(roots.find(p)), _view(v)) for p, v in listed]
            except (ImageError, DataError) as error:
                yield Reject(name, str(error))
                continue
            yield Study(
                name,
                splits[patients[name]],
                pair_of_views(images),
                "",
                labels=seen[name],
                patient=patients[name],
            )

    return labelled_inputs(made(), tables)


def _rows(path: Path, blank: Blank) -> Iterator[tuple[str, str, str, dict[str, int | None]]]:
    """Place, path, view and labels of each row."""
    table = open_table(path)
    place, view = named_column(table, "path"), named_column(table, "frontal/lateral")
    columns = {name: named_column(table, name.lower()) for name in OBSERVATIONS}
    assert place and view
    for row in table:
        where = table.where(row)
        if row.problem is not None or not row.values[place]:
            raise DataError(f"{where}: {row.problem or 'no path'}")
        labels: dict[str, int | None] = {}
        for name, column in columns.items():
            value = row.values[str(column)]
            text = None if value is None else identity(value)
            if text is not None and text not in _VALUES:
                raise DataError(f"{where}: {name} is {text[:20]!r}; labels are 1, 0, -1 or nothing")
            labels[name] = _VALUES[text] if text is not None else 0 if blank == "absent" else None
        yield where, str(row.values[place]), str(row.values[view] or ""), labels


def _view(name: str) -> Literal["frontal", "lateral"]:
    found = view_named(name)
    if found is None:
        raise DataError(f"view {name[:20]!r} is neither frontal nor lateral")
    return found
