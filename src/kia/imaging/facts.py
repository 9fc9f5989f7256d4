"""What a picture is, and what says so: view, study, patient, body part, laterality, orientation.

What is given explicitly goes before the header of the file, the header before the order of files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kia.errors import DataError
from kia.imaging.grey import Doubt
from kia.imaging.signatures import Kind
from kia.imaging.views import view_at
from kia.studies import StudyImage, View, ViewSource

PERHAPS_ELSEWHERE = "perhaps not of the chest: a description in its DICOM header names another part"
_FROM_HEADER = ("view position", "view code")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says of its picture; None where it does not say.

    No attribute holds text of the header but codes that were checked to be ones.

    Attributes:
        kind: What the file is; None for what is neither DICOM, PNG nor JPEG.
        view: Frontal or lateral.
        view_source: "view position" (0018,5101), "view code" (0054,0220), or "description" (Series
            or Study Description), which is a guess.
        study: StudyInstanceUID.
        instance: SOPInstanceUID; equal ones are copies.
        patient: Hash of the PatientID (`kia.imaging.pseudonym`).
        body_part: DICOM's term, "CHEST", "HAND" …; "OTHER" for what is none of them.
        body_part_source: "body part examined", "anatomic region" or "description".
        laterality: "L", "R", "B" or "U", of (0020,0062) or (0020,0060).
        orientation: Patient Orientation (0020,0020) of rows and columns, as "L\\F".
        raw: Made for processing, not for people to look at (0008,0068).
        why_not: Why it can be no chest X-ray, one line; "" if it can.
        doubts: What is odd about all this.
        series: SeriesInstanceUID.
    """

    kind: Kind | None = None
    view: View | None = None
    view_source: ViewSource | None = None
    study: str | None = None
    instance: str | None = None
    patient: str | None = None
    body_part: str | None = None
    body_part_source: str | None = None
    laterality: str | None = None
    orientation: str | None = None
    raw: bool = False
    why_not: str = ""
    doubts: tuple[Doubt, ...] = ()
    series: str | None = None


UNKNOWN = Facts()
"""Of what is no file: an array of grey values."""


def placed(
    facts: Sequence[Facts], given: Sequence[View] | None = None
) -> list[tuple[View, ViewSource]]:
    """The view of each image of a study, and what says so.

    Args:
        facts: In the order of the images.
        given: What each is told to be.

    Returns:
        In the same order. Where neither is known the first counts as frontal if no other one is.
    """
    if given:
        return [(view, "given") for view in given]
    open_places = 0 if all(one.view != "frontal" for one in facts) else 1
    found: list[tuple[View, ViewSource]] = []
    for one in facts:
        if one.view and one.view_source:
            found.append((one.view, one.view_source))
        else:
            found.append((view_at(open_places), "order"))
            open_places += 1
    return found


def refuse_two_patients(facts: Sequence[Facts], what: str = "") -> None:
    """DataError if the headers of a study's images name different patients.

    Args:
        facts: Of the images.
        what: Names them; opens the line.
    """
    if len({one.patient for one in facts} - {None}) > 1:
        raise DataError(
            f"{what + ': ' if what else ''}images of two patients, as their DICOM headers say; "
            "a study has one"
        )


def doubts_among(
    images: Sequence[StudyImage], facts: Sequence[Facts]
) -> Iterator[tuple[Doubt, ...]]:
    """What is odd about each image of a study: the headers against what they are read as.

    Args:
        images: As they are read.
        facts: What their files say.
    """
    first = next((one for one in facts if one.study or one.patient), UNKNOWN)
    for image, one in zip(images, facts, strict=True):
        found = list(one.doubts)
        if image.view != one.view and one.view and one.view_source in _FROM_HEADER:
            why = f"its DICOM header says {one.view}, but it is read as {image.view}, as told"
            found.append(Doubt("view", why))
        if image.view_source == "description":
            why = f"that it is {image.view} is guessed from a description in its DICOM header"
            found.append(Doubt("view", why))
        if first.patient and one.patient and one.patient != first.patient:
            why = "its DICOM header names another patient than that of the first image"
            found.append(Doubt("patient", why))
        elif first.study and one.study and one.study != first.study:
            why = "its DICOM header names another study than that of the first image"
            found.append(Doubt("study", why))
        if image.view == "frontal" and (text := _turned(one.orientation)):
            found.append(Doubt("orientation", f"its DICOM header says that it is {text}"))
        yield tuple(found)


def _turned(orientation: str | None) -> str:
    """What Patient Orientation says against a frontal view with the patient's left at the right."""
    rows, _, columns = (orientation or "").partition("\\")
    if columns.startswith("H"):
        return "upside down"
    return "mirrored" if rows.startswith("R") and columns.startswith("F") else ""


def shown(image: StudyImage, facts: Facts) -> dict[str, str | None]:
    """An entry of `facts` in JSON.

    Args:
        image: As it is read.
        facts: What the file says.
    """
    return {
        "file": image.path,
        "view": image.view,
        "view_source": image.view_source,
        "study": facts.study,
        "patient_hash": facts.patient,
        "body_part": facts.body_part,
    }
