"""Study and its images: what crosses the borders between kia's folders (no torch)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Split = Literal["train", "val", "test"]
View = Literal["frontal", "lateral"]
ViewSource = Literal["given", "view position", "view code", "description", "order"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
VIEWS: tuple[View, ...] = ("frontal", "lateral")
ID_COLUMNS = ("id", "study_id", "uid", "image_id", "dicom_id")
"""Names that the field's tables give the column of study ids; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class StudyImage:
    """One image of a study: where it lies (or its name, if generated) and its view.

    Attributes:
        path: Of the file.
        view: As it is read.
        view_source: What says so: a person or a table, an element of the DICOM header, a guess from
            a description there, or the order of the files.
    """

    path: str
    view: View
    view_source: ViewSource = "given"


@dataclass(frozen=True, slots=True)
class Study:
    """One examination: its images and the report that a radiologist wrote for them.

    Attributes:
        id: Unique within a data set.
        split: The part of the data set it belongs to.
        images: In the order the model reads them (frontal first).
        report: The target text, raw (cleaning belongs to a protocol, not to the data); empty if
            there is none.
        sections: Named parts of the full report ("findings", "impression", "indication" …).
        labels: 14 CheXpert observations → 1 present, 0 absent, −1 uncertain, None unmentioned in
            the report or, of a study without one, not annotated; None if the study was not
            labelled.
        graph: RadGraph record of the report; None if it has none.
        landmarks: Names of the landmarks that the report mentions; None if not looked for.
        patient: Whose examination it is; None if the collection does not say.
        left_out: Files of the examination that are not read, and why.
    """

    id: str
    split: Split
    images: tuple[StudyImage, ...]
    report: str
    sections: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, int | None] | None = None
    graph: Mapping[str, Any] | None = None
    landmarks: tuple[str, ...] | None = None
    patient: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def has_report(self) -> bool:
        """Whether there is a text to write; a study may have labels alone."""
        return bool(self.report.strip())

    def to_record(self) -> dict[str, Any]:
        """This study as JSON has it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """The study of a record of `to_record`."""
        landmarks = record["landmarks"]
        tuples: dict[str, Any] = {
            "images": tuple(StudyImage(**image) for image in record["images"]),
            "landmarks": None if landmarks is None else tuple(landmarks),
            "left_out": tuple(map(tuple, record["left_out"])),
        }
        return cls(**{**record, **tuples})
