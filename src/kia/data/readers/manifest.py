"""Any collection: a table of studies, or R2Gen's annotation.json; folder.py reads bare images."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kia.data.readers.annotation import read_annotation
from kia.data.readers.splits import RandomSplit, read_split, split_named
from kia.errors import DataError, ImageError, UsageError
from kia.files.plain import parse_json
from kia.ids import match_ids
from kia.imaging.facts import UNKNOWN, placed
from kia.imaging.paths import ImageRoots
from kia.imaging.reading import read_facts
from kia.imaging.views import view_named
from kia.imaging.workers import Reject
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import VIEWS, Split, Study, StudyImage, View
from kia.tables.cells import is_missing, number
from kia.tables.columns import OPTIONS
from kia.tables.notes import note
from kia.tables.table import Row, open_table

_COLUMNS = ("view", "report", "split", "labels", "patient")
_STATES = {1.0: 1, 0.0: 0, -1.0: -1}


class Manifest:
    """Studies of a manifest, read row by row; the rows are gone through once before.

    Args:
        path: A table (`kia.tables.table`) with a row a study and the columns `id` and `image`
            (paths, joined by ";" or a list), optionally `view`, `report`, `split`, `labels` and
            `patient`, or their usual other names; or an annotation.json like R2Gen's. A missing
            value is an empty one: a study without patient is a patient of its own.
        roots: Folders outside that of the manifest in which images may lie, too.
        split: A file (`read_split`), or drawn by patient, where there is none by study; None for
            the column. Studies without reports are all in test: they serve generation alone.
        id_column: The column of ids in a table (and in the file of splits, if it is there), where
            it has another name than usual.
        report_column: That of the reports.

    Attributes:
        ids: Of the studies.
        studies: {}: the manifest does not say which ids are images of one study.
        files: The manifest, and the file of splits.

    Raises:
        DataError: The manifest is missing, malformed or empty, an id occurs twice, or a patient
            is in two splits.
        UsageError: Nothing tells the split, or a column is named and there is no table.
    """

    def __init__(
        self,
        path: Path,
        *,
        roots: Sequence[Path] = (),
        split: Path | RandomSplit | None = None,
        id_column: str | None = None,
        report_column: str | None = None,
    ) -> None:
        self.path = path
        self._named = {"id": id_column, "report": report_column}
        self._roots = ImageRoots(path.parent, roots)
        self.has_reports = False
        self._unit, self._count = "entry", 0
        patients, splits = self._surveyed(by_column=split is None)
        self.ids = list(patients)
        self.studies: Mapping[str, str] = {}
        self._splits = self._assign(patients, splits, split)
        self.files = [file for file in (path, split) if isinstance(file, Path) and file.is_file()]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Study | Reject]:
        """A study, or the reason why it is none, for each row; images that are lost come first."""
        for items in self.read(range(len(self))):
            yield from items

    def read(self, which: range) -> Iterator[list[Study | Reject]]:
        """The inputs with these numbers (`kia.data.readers.inputs`)."""
        for row in islice(self._rows(), which.start, which.stop):
            items: list[Study | Reject] = []
            name = row.values.get("id") or f"{self._unit} {row.line}"
            try:
                if row.problem is not None:
                    raise DataError(f"{self._unit} {row.line}: {row.problem}")
                for item in self._study(row.values):
                    items.append(item)
            except DataError as error:
                items.append(Reject(name, str(error)))
            yield items

    def _surveyed(self, *, by_column: bool) -> tuple[dict[str, str], dict[str, Split]]:
        """Of each study the patient, or itself; of each patient the split, if the column tells."""
        patients: dict[str, str] = {}
        splits: dict[str, Split] = {}
        unknown, bad = 0, ""
        for row in self._rows():
            self._count += 1
            if row.problem is not None:
                bad = bad or f" ({self._unit} {row.line}: {row.problem})"
                continue
            name, patient = row.values["id"], row.values.get("patient")
            if name in patients:
                raise DataError(f"{self.path}: study {name} occurs twice")
            patients[name] = patient or name
            unknown += patient is None and "patient" in row.values
            self.has_reports = self.has_reports or _text(row.values.get("report")) != ""
            if by_column and (given := row.values.get("split")) is not None:
                part = split_named(given, f"{self.path}, {name}")
                if (other := splits.setdefault(patients[name], part)) != part:
                    raise DataError(f"{self.path}: patient {patient} is in {other} and {part}")
        if not patients:
            raise DataError(f"{self.path}: holds no study{bad}")
        if unknown:
            share = f"{unknown} of {len(patients)} studies"
            note(f"{self.path}: {share} have no patient; each counts as a patient of its own")
        return patients, splits

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
            given = read_split(split, self._named["id"])
            matched = match_ids(patients, given)
            if not matched.pairs:
                raise DataError(matched.line(f"studies of {self.path}", str(split)))
            return {name: given[other] for name, other in matched.pairs.items()}
        by_patient = splits if split is None else split.draw(patients.values())
        if not by_patient:
            raise UsageError(f"{self.path}: no column split; add one, or --split random or a file")
        return {name: by_patient[p] for name, p in patients.items() if p in by_patient}

    def _rows(self) -> Iterator[Row]:
        """Rows with an id, or with a problem."""
        if self.path.name.lower().endswith(".json"):
            for option, name in self._named.items():
                if name is not None:
                    raise UsageError(f"{OPTIONS[option]} {name}: {self.path} is no table")
            yield from (Row(number, values) for number, values in enumerate(self._entries(), 1))
            return
        table = open_table(self.path, ("id", "image"), _COLUMNS, named=self._named)
        self._unit = table.unit
        for row in table:
            nameless = row.problem is None and row.values["id"] is None
            yield row._replace(problem="no id") if nameless else row

    def _entries(self) -> Iterator[dict[str, Any]]:
        for entry in read_annotation(self.path):
            text, images = entry.report, list(entry.images)
            yield {"id": entry.id, "image": images, "report": text, "split": entry.split}

    def _study(self, row: Mapping[str, Any]) -> Iterator[Study | Reject]:
        name = row["id"]
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
            patient=row.get("patient"),
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
            value = parse_json(value)
        except ValueError as error:
            raise DataError(f"labels cannot be read: {error}") from error
    if not value or not _text(value):
        return None
    if isinstance(value, dict):
        pairs = list(value.items())
    else:
        stated = [part.partition("=") for part in _list(value) if part]
        if bare := [name for name, sign, _ in stated if not sign]:
            raise DataError(f"label {bare[0]!r} has no value: write {bare[0]}=1, 0 or -1")
        pairs = [(name.strip(), state.strip()) for name, _, state in stated]
    found: dict[str, int | None] = {}
    for name, state in pairs:
        try:
            found[name] = None if is_missing(state) else _STATES[number(state)]
        except (KeyError, ValueError):
            raise _unknown_label(name, state) from None
        if name not in OBSERVATIONS:
            raise _unknown_label(name, state)
    return {name: found.get(name) for name in OBSERVATIONS}


def _unknown_label(name: str, state: Any) -> DataError:
    return DataError(f"label {name}={state}: use a CheXpert observation with 1, 0 or -1")
