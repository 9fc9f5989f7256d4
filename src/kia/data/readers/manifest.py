"""Any collection: a table of studies, or R2Gen's annotation.json; folder.py reads bare images."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kia.data.readers.annotation import read_annotation
from kia.data.readers.splits import RandomSplit, read_split, split_named
from kia.data.tables import read_table
from kia.errors import DataError, ImageError, UsageError
from kia.imaging.facts import UNKNOWN, placed
from kia.imaging.paths import ImageRoots
from kia.imaging.reading import read_facts
from kia.imaging.views import view_named
from kia.imaging.workers import Reject
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import VIEWS, Split, Study, StudyImage, View

_LABELS = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "-1": -1, "-1.0": -1, "": None, "none": None}


class Manifest:
    """Studies of a manifest, read row by row; the rows are gone through once before.

    Args:
        path: A .csv, .csv.gz, .jsonl or .parquet file with a row a study and the columns `id` and
            `image` (paths, joined by ";" or a list), optionally `view`, `report`, `split`,
            `labels` and `patient`; or an annotation.json like R2Gen's.
        roots: Folders outside that of the manifest in which images may lie, too.
        split: A file (`read_split`), or drawn by patient, where there is none by study; None for
            the column. Studies without reports are all in test: they serve generation alone.

    Attributes:
        ids: Of the studies.
        files: The manifest, and the file of splits.

    Raises:
        DataError: The manifest is missing, malformed or empty, an id occurs twice, or a patient
            is in two splits.
        UsageError: Nothing tells the split.
    """

    def __init__(
        self, path: Path, *, roots: Sequence[Path] = (), split: Path | RandomSplit | None = None
    ) -> None:
        self.path = path
        self._roots = ImageRoots(path.parent, roots)
        patients: dict[str, str] = {}  # of each study: the patient, or the study
        splits: dict[str, Split] = {}  # of each patient, by the column
        self.has_reports = False
        for number, row in enumerate(self._rows(), start=1):
            name, patient = _text(row["id"]), _text(row.get("patient"))
            if not name:
                raise DataError(f"{path}: study {number} has no id")
            if name in patients:
                raise DataError(f"{path}: study {name} occurs twice")
            patients[name] = patient or name
            self.has_reports = self.has_reports or bool(_text(row.get("report")))
            if split is None and (given := _text(row.get("split"))):
                part = split_named(given, f"{path}, {name}")
                if splits.setdefault(patients[name], part) != part:
                    raise DataError(f"{path}: patient {patient} is in {splits[patient]} and {part}")
        if not patients:
            raise DataError(f"{path}: holds no study")
        self.ids = list(patients)
        self._splits = self._assign(patients, splits, split)
        self.files = [file for file in (path, split) if isinstance(file, Path) and file.is_file()]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Study | Reject]:
        """A study, or the reason why it is none, for each row; images that are lost come first."""
        for items in self.read(range(len(self))):
            yield from items

    def read(self, which: range) -> Iterator[list[Study | Reject]]:
        """The inputs with these numbers (`kia.data.readers.inputs`)."""
        for row in islice(self._rows(), which.start, which.stop):
            items: list[Study | Reject] = []
            try:
                for item in self._study(row):
                    items.append(item)
            except DataError as error:
                items.append(Reject(_text(row["id"]), str(error)))
            yield items

    def _assign(
        self,
        patients: Mapping[str, str],
        splits: Mapping[str, Split],
        split: Path | RandomSplit | None,
    ) -> Mapping[str, Split]:
        """Split of each study."""
        if not self.has_reports:
            return dict.fromkeys(patients, "test")
        if isinstance(split, Path):
            given = read_split(split)
            if not given.keys() & patients.keys():
                raise DataError(f"{split}: none of its ids is a study of {self.path}")
            return given
        by_patient = splits if split is None else split.draw(patients.values())
        if not by_patient:
            raise UsageError(f"{self.path}: no column split; add one, or --split random or a file")
        return {name: by_patient[p] for name, p in patients.items() if p in by_patient}

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        if self.path.name.lower().endswith(".json"):
            for entry in read_annotation(self.path):
                text, images = entry.report, list(entry.images)
                yield {"id": entry.id, "image": images, "report": text, "split": entry.split}
        else:
            yield from read_table(self.path, ("id", "image"))

    def _study(self, row: Mapping[str, Any]) -> Iterator[Study | Reject]:
        name = _text(row["id"])
        report = row.get("report") or ""
        if self.has_reports and not _text(report):
            raise DataError("empty report")
        if name not in self._splits:
            raise DataError("no split")
        named = _images(row)
        paths: list[Path | None] = []  # None where there is none
        for path, _ in named:
            try:
                paths.append(self._roots.find(path))
            except ImageError as error:
                paths.append(None)
                yield Reject(f"{name} ({path})", str(error))
        if not any(paths):
            raise DataError("no image")
        labels = _labels(row.get("labels"))
        yield Study(
            id=name,
            split=self._splits[name],
            images=_read_as(paths, [view for _, view in named if view]),
            report=str(report),
            labels=labels,
            patient=_text(row.get("patient")) or None,
        )


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _list(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else _text(value).split(";")
    return [_text(part) for part in parts]


def _images(row: Mapping[str, Any]) -> list[tuple[str, View | None]]:
    """Paths, and views if the table has them; DataError if numbers differ or a view is neither."""
    paths = [path for path in _list(row["image"]) if path]
    names = _list(row.get("view"))
    if len(names) != len(paths) and any(names):
        raise DataError(f"{len(paths)} images, but {len(names)} views")
    if not any(names):
        return [(path, None) for path in paths]
    views = [view_named(name) for name in names]
    if None in views:
        raise DataError(f"view {names[views.index(None)]!r} is neither frontal nor lateral")
    return list(zip(paths, views, strict=True))


def _read_as(paths: list[Path | None], views: list[View]) -> tuple[StudyImage, ...]:
    """Images that are there under the views of the table; without them, under those of headers.

    Where neither says, the first place counts as frontal, even if its image is lost.
    """
    facts = [UNKNOWN if views or path is None else read_facts(path) for path in paths]
    read_as = zip(paths, placed(facts, views), strict=True)
    images = [StudyImage(str(path), *one) for path, one in read_as if path is not None]
    return tuple(images if views else sorted(images, key=lambda one: VIEWS.index(one.view)))


def _labels(value: Any) -> dict[str, int | None] | None:
    """Labels of all 14 observations from "Edema=1; Fracture=-1" or an object; None if empty."""
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise DataError(f"labels are not JSON ({error})") from error
    if not value or not _text(value):
        return None
    if isinstance(value, dict):
        pairs = [(name, _text(state)) for name, state in value.items()]
    else:
        stated = [part.partition("=") for part in _list(value) if part]
        if bare := [name for name, sign, _ in stated if not sign]:
            raise DataError(f"label {bare[0]!r} has no value: write {bare[0]}=1, 0 or -1")
        pairs = [(name.strip(), state.strip()) for name, _, state in stated]
    for name, state in pairs:
        if name not in OBSERVATIONS or state.lower() not in _LABELS:
            raise DataError(f"label {name}={state}: use a CheXpert observation with 1, 0 or -1")
    found = {name: _LABELS[state.lower()] for name, state in pairs}
    return {name: found.get(name) for name in OBSERVATIONS}
