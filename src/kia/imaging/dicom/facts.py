"""What the header of a DICOM file says of its picture; pixels are not read.

Sources: PS3.3 C.7.1.1 (patient), C.7.2.1 and C.7.3.1 (study, series), C.8.1.2 and C.8.11.5 (views
of CR and DX); PS3.16 CID 4010 (codes of views).
"""

import io
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import pydicom

from kia.errors import ImageError
from kia.imaging.body_parts import CHEST, OTHER, is_elsewhere, part_described, part_named
from kia.imaging.dicom.header import MAX_HEADER, RADIOGRAPHS, quiet, read_header
from kia.imaging.facts import PERHAPS_ELSEWHERE, Facts
from kia.imaging.grey import Doubt
from kia.imaging.pseudonym import patient_hash
from kia.imaging.views import view_described, view_named
from kia.studies import View, ViewSource

_TAGS: list[Any] = [
    pydicom.tag.Tag(name)
    for name in (
        *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality"),
        *("PresentationIntentType", "StudyDescription", "SeriesDescription", "BodyPartExamined"),
        "AnatomicRegionSequence",
        *("ViewPosition", "ViewCodeSequence", "ImageLaterality", "Laterality"),
        *("PatientOrientation", "Rows"),
    )
]
_VIEW_CODES: dict[str, View] = {
    # SCT, and the SRT (SNM3, 99SDM) ids of the same concepts before 2018; PA was R-10214 once
    **dict.fromkeys(("399033003", "399348003", "272479007"), "frontal"),
    **dict.fromkeys(("R-10202", "R-10206", "R-10214", "R-40888"), "frontal"),
    **dict.fromkeys(("399067008", "399173006", "399198007", "30730003"), "lateral"),
    **dict.fromkeys(("R-102CD", "R-10236", "R-10232", "R-10222", "G-A145"), "lateral"),
}
_CHEST_CODES = ("51185008", "816094009", "T-D3000")
_SCHEMES = ("SCT", "SRT", "SNM3", "99SDM", "SNOMED")
_OTHER_MODALITIES = {
    *("CT", "MR", "US", "NM", "PT", "MG", "XA", "ES", "BMD", "IO", "PX", "OP", "OPT", "OAM", "OPV"),
    *("OCT", "IVUS", "IVOCT", "GM", "SM", "XC", "ECG", "EPS", "HD", "LS", "TG", "BI", "DG", "CFM"),
    *("SR", "PR", "KO", "SEG", "REG", "DOC", "AU", "FID", "SMR", "RWV", "PLAN", "M3D", "STAIN"),
    *("RTIMAGE", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD"),
}
"""Values of Modality that no radiograph has; others are only doubted."""


def dicom_facts(file: BinaryIO) -> Facts:
    """The facts of a file at its start; of a damaged one that it is DICOM, and no more."""
    try:
        with quiet():
            limited: Any = io.BufferedReader(_Limited(file), 1 << 13)
            dataset, _ = read_header(limited, _TAGS, pixels=False)
            return _facts(dataset)
    except Exception:  # pydicom raises anything on damaged files; the decoder will say what it is
        return Facts("dicom")


class _Limited(io.RawIOBase):
    """A file of which at most `MAX_HEADER` bytes can be read."""

    name = ""  # pydicom asks for it

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, MAX_HEADER

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(place, whence)

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise ImageError("DICOM header without an end")
        buffer[: len(content)] = content
        return len(content)


def _facts(dataset: pydicom.Dataset) -> Facts:
    view, source, doubts = _view(dataset)
    part, part_source = _body_part(dataset)
    patient = _text(dataset, "PatientID")
    if part_source == "description" and is_elsewhere(part):
        doubts.append(Doubt("body part", f"{PERHAPS_ELSEWHERE} ({part})"))
    if raw := _text(dataset, "PresentationIntentType").upper() == "FOR PROCESSING":
        doubts.append(Doubt("for processing", "made for processing, as its DICOM header says"))
    return Facts(
        "dicom",
        view,
        source,
        study=_uid(dataset, "StudyInstanceUID"),
        instance=_uid(dataset, "SOPInstanceUID"),
        series=_uid(dataset, "SeriesInstanceUID"),
        patient=patient_hash(patient) if patient else None,
        body_part=part,
        body_part_source=part_source,
        laterality=_code(dataset, "ImageLaterality", "[LRBU]")
        or _code(dataset, "Laterality", "[LR]"),
        orientation=_code(dataset, "PatientOrientation", r"[LRAPFH]{1,3}\\[LRAPFH]{1,3}"),
        raw=raw,
        why_not=_why_not(dataset, part, part_source),
        doubts=tuple(doubts),
    )


def _view(dataset: pydicom.Dataset) -> tuple[View | None, ViewSource | None, list[Doubt]]:
    """The view, what says so, and whether something else disagrees."""
    by_code: View | None = next(
        filter(None, map(_coded_view, _items(dataset, "ViewCodeSequence"))), None
    )
    if by_position := view_named(_text(dataset, "ViewPosition")):
        doubts = []
        if by_code and by_code != by_position:
            why = f"its DICOM View Position says {by_position}, its View Code {by_code}"
            doubts.append(Doubt("view", why))
        return by_position, "view position", doubts
    if by_code:
        return by_code, "view code", []
    for name in ("SeriesDescription", "StudyDescription"):
        if guess := view_described(_text(dataset, name)):
            return guess, "description", []
    return None, None, []


def _coded_view(item: pydicom.Dataset) -> View | None:
    """By the code; by the meaning of one that is of no standard, as MIMIC-CXR's reader does."""
    known = _text(item, "CodingSchemeDesignator").upper() in _SCHEMES
    by_code = _VIEW_CODES.get(_text(item, "CodeValue").upper()) if known else None
    return by_code or view_named(_text(item, "CodeMeaning"))


def _body_part(dataset: pydicom.Dataset) -> tuple[str | None, str | None]:
    """DICOM's term, and the element that says so.

    Consoles often keep the part of the patient before: a description that says chest makes another
    part `OTHER`, which is doubted and not left out.
    """
    described = part_described(_text(dataset, "SeriesDescription"))
    described = described or part_described(_text(dataset, "StudyDescription"))
    if part := part_named(_text(dataset, "BodyPartExamined")):
        if is_elsewhere(part) and described == CHEST:
            part = OTHER
        return part, "body part examined"
    for item in _items(dataset, "AnatomicRegionSequence"):
        if _text(item, "CodeValue").upper() in _CHEST_CODES:
            return CHEST, "anatomic region"
        if part := part_named(_text(item, "CodeMeaning")):
            return part, "anatomic region"
    return described, "description" if described else None


def _why_not(dataset: pydicom.Dataset, part: str | None, source: str | None) -> str:
    if _text(dataset, "Modality").upper() in _OTHER_MODALITIES:
        return f"no radiograph: its DICOM Modality is none of {', '.join(RADIOGRAPHS)}"
    about = getattr(dataset, "file_meta", {})
    is_whole = "SOPInstanceUID" in dataset or "MediaStorageSOPClassUID" in about
    if is_whole and "Rows" not in dataset:
        return "a DICOM file without an image"
    if is_elsewhere(part) and source != "description":
        return f"not of the chest: its DICOM header names another part of the body ({part})"
    return ""


def _text(dataset: pydicom.Dataset, name: str) -> str:
    """The value of an element as text; several values as they stand in the file."""
    value = _value(dataset, name)
    if isinstance(value, pydicom.multival.MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip(" \0")


def _uid(dataset: pydicom.Dataset, name: str) -> str | None:
    """A UID; what is none, and may be any text, is hashed."""
    text = _text(dataset, name)
    if not text:
        return None
    return text if re.fullmatch(r"[0-9.]{1,64}", text) else f"no-uid-{patient_hash(text)}"


def _code(dataset: pydicom.Dataset, name: str, pattern: str) -> str | None:
    text = _text(dataset, name).upper()
    return text if re.fullmatch(pattern, text) else None


def _items(dataset: pydicom.Dataset, name: str) -> Iterator[pydicom.Dataset]:
    value = _value(dataset, name)
    yield from value if isinstance(value, pydicom.Sequence) else ()


def _value(dataset: pydicom.Dataset, name: str) -> Any:
    """None for an element that is damaged: the others may still tell."""
    try:
        return dataset.get(name)
    except Exception:  # pydicom raises anything
        return None
