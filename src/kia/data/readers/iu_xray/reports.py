"""Reports of IU X-Ray as they are handed around: Open-i's XML, or Kaggle's table."""

import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from kia.errors import DataError
from kia.files.regular import open_file
from kia.imaging.workers import Reject
from kia.tables.table import read_rows

SECTIONS = ("indication", "comparison", "findings", "impression")

_PROSE = ("indication", "comparison")
_UID = re.compile(r"CXR(\d+)(?:_|$)")
_EXTENSION = re.compile(r"(\.dcm|\.png|\.jpe?g)+$", re.IGNORECASE)
_LARGEST_XML = 1 << 20  # bytes; the largest of Open-i has 9 KB
_ID_IN_KAGGLE = {"1_IM-0001": "1_1_IM-0001"}  # Kaggle renamed the images of one study


@dataclass(frozen=True, slots=True)
class IUReport:
    """A report.

    Attributes:
        uid: Number of the report, as text.
        sections: Those of `SECTIONS` that are not empty, raw.
        images: Names that the source lists, in its order; Kaggle's table lists none.
    """

    uid: str
    sections: Mapping[str, str]
    images: tuple[str, ...] = ()


def read_reports(path: Path) -> tuple[dict[str, IUReport], list[Reject]]:
    """Read all reports.

    Args:
        path: NLMCXR_reports.tgz, the folder that it unpacks to, or indiana_reports.csv.

    Returns:
        uid → report in the order of their numbers, and the XML files that could not be read.

    Raises:
        DataError: The source is missing, malformed, or holds no report.
    """
    lost: list[Reject] = []
    if path.is_dir() or path.name.lower().endswith((".tgz", ".tar.gz", ".tar")):
        found: Iterable[IUReport] = _read_xml_files(path, lost)
    else:
        found = _read_table(path)
    reports = {report.uid: report for report in sorted(found, key=lambda report: int(report.uid))}
    if not reports:
        raise DataError(f"{path}: holds no report of IU X-Ray")
    return reports, lost


def uid_of(study_id: str) -> str:
    """Number of the report in an id: "CXR2384_IM-0942" → "2384"; DataError if there is none."""
    match = _UID.match(study_id)
    if match is None:
        raise DataError(f"id {study_id!r} is not of the form CXR<uid>_…")
    return match[1]


def image_key(name: str) -> tuple[str, str]:
    """(uid, image) of an image under Open-i's or Kaggle's name; they differ in prefix and ending.

    "CXR1_1_IM-0001-3001.png" and "1_IM-0001-3001.dcm.png" are both ("1", "IM-0001-3001").
    """
    uid, _, image = _EXTENSION.sub("", name).removeprefix("CXR").partition("_")
    return uid, image.removeprefix(f"{uid}_")


def study_id(images: Iterable[str]) -> str:
    """R2Gen's id of the study with these images: the name of the first, without its last number."""
    first = min(_EXTENSION.sub("", name).removeprefix("CXR") for name in images)
    stem = first.rpartition("-")[0]
    return f"CXR{_ID_IN_KAGGLE.get(stem, stem)}"


def _read_table(path: Path) -> Iterator[IUReport]:
    # COMPARISON: "None." and "None" are what the radiologist said.
    for row in read_rows(path, ("id", *SECTIONS), named={"id": "uid"}, prose=_PROSE):
        if not (uid := row["id"] or "").isdecimal():
            raise DataError(f"{path}: uid {uid!r} is not a number")
        yield IUReport(uid, {name: row[name] for name in SECTIONS if row[name] is not None})


def _read_xml_files(path: Path, lost: list[Reject]) -> Iterator[IUReport]:
    for name, content in _folder(path, lost) if path.is_dir() else _archive(path):
        try:
            yield _read_xml(content)
        except (ElementTree.ParseError, DataError) as error:
            lost.append(Reject(name, f"not a report of Open-i ({error})"))


def _folder(path: Path, lost: list[Reject]) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.rglob("*.xml")):
        try:
            with open_file(file) as opened:
                content = opened.read(_LARGEST_XML + 1)
        except OSError as error:
            lost.append(Reject(file.name, f"cannot be read: {error.strerror}"))
        else:
            yield file.name, content


def _archive(path: Path) -> Iterator[tuple[str, bytes]]:
    """Members are read in place: no name in the archive becomes a path."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".xml") and (file := archive.extractfile(member)):
                    yield member.name, file.read(_LARGEST_XML + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: not readable as a tar archive ({error})") from error


def _read_xml(content: bytes) -> IUReport:
    if len(content) > _LARGEST_XML or b"<!ENTITY" in content:
        raise DataError("larger than a report, or it declares entities")
    root = ElementTree.fromstring(content)
    identity = root.find("uId")
    uid = uid_of("" if identity is None else identity.get("id", ""))
    texts: dict[str, str] = {}
    for part in root.iter("AbstractText"):
        name, text = (part.get("Label") or "").lower(), "".join(part.itertext())
        if text.strip():
            texts[name] = f"{texts[name]}\n{text}" if name in texts else text
    images = tuple(image.get("id") or "" for image in root.iter("parentImage"))
    sections = {name: texts[name] for name in SECTIONS if name in texts}
    return IUReport(uid, sections, tuple(image for image in images if image))
