"""What a report holds: everything that is known of a study after a model has read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypedDict

from kia.imaging.facts import Facts
from kia.imaging.plausibility import Flag
from kia.knowledge.structure import State
from kia.readable import NOTICE
from kia.studies import StudyImage, View


class Claim(TypedDict):
    """What a report states of one of the 14 observations.

    Attributes:
        observation: Its name.
        state: "present", "absent", "uncertain" or "not assessed".
        probability: Of presence, 0 to 1.
        sentence: Of the report that says so; None if none does.
    """

    observation: str
    state: str
    probability: float
    sentence: str | None


class Organ(TypedDict):
    """An organ of the structured form.

    Attributes:
        state: Of all its sentences together.
        sentences: For people.
        evidence: Numbers of these sentences in `Content.evidence`.
    """

    state: State
    sentences: list[str]
    evidence: list[int]


@dataclass(frozen=True, slots=True)
class Writer:
    """Which model wrote a report.

    Attributes:
        name: As it was loaded; "" if it never had one.
        kia: Version of kia.
    """

    name: str
    kia: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a model says of a study, and what stands behind it.

    All forms (`kia.reporting.forms`) are functions of this alone.

    Attributes:
        report: For people to read; None where none was written (`flags` says why).
        raw: As the decoder wrote it, for scores; None as `report`.
        structured: Organ by organ, in the order of `kia.knowledge.organs.ORGANS`; None as `report`.
        claims: What the report states of the 14 observations; [] of a model without operating
            points.
        not_assessed: Observations of which it states nothing, because the model cannot tell.
        findings: Observation → probability of "present"; None of a model that names none.
        flags: Why the report may not be worth reading.
        evidence: Each sentence with what stands behind it (`kia.explain.describe`).
        match: Matching degree, 0 to 1; None of a model without image-report matching.
        candidates: The reports among which it was chosen; [] if it was alone.
        images: What was read, with its views.
        facts: What the file of each image says: study, series and instance UIDs among it.
        writer: The model.
        written: When.
        notice: Not for clinical use.
    """

    report: str | None
    raw: str | None
    structured: Mapping[str, Organ] | None
    findings: Mapping[str, float] | None
    flags: Sequence[Flag]
    evidence: Sequence[Mapping[str, Any]]
    images: Sequence[StudyImage]
    facts: Sequence[Facts]
    writer: Writer
    claims: Sequence[Claim] = ()
    not_assessed: Sequence[str] = ()
    match: float | None = None
    candidates: Sequence[Mapping[str, Any]] = ()
    written: datetime = field(default_factory=lambda: datetime.now(UTC))
    notice: str = NOTICE

    @property
    def views(self) -> list[View]:
        """Of the images."""
        return [image.view for image in self.images]

    @property
    def study_uid(self) -> str | None:
        """StudyInstanceUID of the first image that has one."""
        return next((one.study for one in self.facts if one.study), None)
