"""MIMIC-CXR-JPG as PhysioNet lays it out: images, tables, and the reports of MIMIC-CXR.

Source: Johnson et al., "MIMIC-CXR, a de-identified publicly available database of chest
radiographs with free-text reports", Sci. Data 2019, and MIMIC-CXR-JPG (arXiv:1901.07042):
377,110 images of 227,827 studies; credentialed access under PhysioNet's data use agreement.
Samples of R2Gen (Chen et al., EMNLP 2020): one image with the findings of its study,
270,790 train, 2,130 val and 3,858 test.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from kia.data.readers.annotation import AnnotatedReport, read_annotation
from kia.data.readers.mimic_cxr.authors import read_sections_as_authors
from kia.data.readers.mimic_cxr.reports import read_sections
from kia.data.readers.splits import split_named
from kia.data.reports import Section, default_section, normalise, section_text
from kia.errors import DataError
from kia.files.regular import open_file, real_path
from kia.imaging.paths import why_missing
from kia.imaging.views import pair_of_views, view_named
from kia.imaging.workers import Reject
from kia.knowledge.chexpert import read_labels
from kia.studies import SPLITS, Split, Study, StudyImage, View
from kia.tables.cells import identity
from kia.tables.table import read_rows

Samples = Literal["image", "study"]
Views = Literal["all", "frontal", "lateral"]
Sections = Literal["kia", "authors"]

IMAGE_COUNT = 377_110
"""Images as published."""
R2GEN_COUNTS: Mapping[str, int] = {"train": 270_790, "val": 2_130, "test": 3_858}
"""Samples of R2Gen's annotation."""

_IDS = re.compile(r"(\d+) (\d+) [0-9A-Za-z-]+")
_LARGEST_REPORT = 1 << 20  # bytes
_NOT_THE_REPORT = ("wet_read", "last_paragraph")


@dataclass(frozen=True, slots=True)
class _MIMICImage:
    dicom: str
    subject: str
    study: str
    split: Split
    view: View | None

    @property
    def folder(self) -> str:
        return f"p{self.subject[:2]}/p{self.subject}"


class MIMICCXR:
    """Studies of MIMIC-CXR, read one by one.

    Args:
        root: Folder with `files/p10/p10000032/s50414267/*.jpg` and the tables
            `mimic-cxr-2.0.0-split.csv.gz` and `-metadata.csv.gz` (also unpacked).
        reports: Folder with `files/p10/p10000032/s50414267.txt`; `root` if None.
        annotation: R2Gen's annotation.json: its samples, text and split.
        sectioned: mimic_cxr_sectioned.csv of the authors' code, instead of the .txt files.
        samples: "image": a sample an image, under its dicom_id (R2Gen's way); "study": a sample a
            study, as "s50414267", with its first frontal and first lateral image.
        views: Which images to take. An image whose view is oblique or not recorded belongs to
            "all" only, and counts as frontal there.
        section: The target text; by default the annotation's ("report"), else the findings.
        sections: How a report is split: by our rules (`reports.py`), or as the authors' code does.
        own_labels: Give studies the labels of `mimic-cxr-2.0.0-chexpert.csv.gz`, if it is there.
        complete: Refuse missing images and other counts than the published ones.

    Attributes:
        ids: Of the samples.
        studies: Of each sample, the study_id.
        files: The tables, and the annotation.

    Raises:
        DataError: Something is missing or malformed.
    """

    def __init__(
        self,
        root: Path,
        *,
        reports: Path | None = None,
        annotation: Path | None = None,
        sectioned: Path | None = None,
        samples: Samples = "image",
        views: Views = "all",
        section: Section | None = None,
        sections: Sections = "kia",
        own_labels: bool = True,
        complete: bool = True,
    ) -> None:
        self.section: Section = section or default_section(annotation)
        self._split = read_sections_as_authors if sections == "authors" else read_sections
        self._files = _files_in(root)
        self._reports = self._files if reports is None else _files_in(reports)
        table = _read_tables(root)
        tables = [_table(root, name) for name in ("metadata", "split", "chexpert")]
        self.files = [p for p in (*tables, annotation, sectioned) if p is not None and p.is_file()]
        self._entries: dict[str, AnnotatedReport] = {}
        self._lost: list[Reject] = []
        if annotation is not None:
            self._entries = {entry.id: entry for entry in read_annotation(annotation)}
        if complete:
            _require_published(table, self._entries)
        if annotation is not None:
            unknown = [name for name in self._entries if name not in table]
            self._lost = [Reject(n, "in the annotation, but not in the tables") for n in unknown]
            table = {name: table[name] for name in self._entries if name in table}
        chosen = [image for image in table.values() if views in ("all", image.view)]
        self._samples = _grouped(chosen, samples)
        self.ids = list(self._samples)
        self.studies = {name: images[0].study for name, images in self._samples.items()}
        self._labels = _read_labels(root) if own_labels else {}
        self._sectioned = None if sectioned is None else _read_sectioned(sectioned)
        self._sections = lru_cache(maxsize=1)(self._read_report)  # its images follow each other
        self._require_reports()
        if complete:
            self._require_images()

    def __len__(self) -> int:
        return len(self._lost) + len(self.ids)

    def __iter__(self) -> Iterator[Study | Reject]:
        """A study or the reason why it is none for each sample; missing images come first."""
        for items in self.read(range(len(self))):
            yield from items

    def read(self, which: range) -> Iterator[list[Study | Reject]]:
        """The inputs with these numbers (`kia.data.readers.inputs`)."""
        lost = self._lost[which.start : which.stop]
        for reject in lost:
            yield [reject]
        for number in which[len(lost) :]:
            name = self.ids[number - len(self._lost)]
            try:
                items = [*self._study(name, self._samples[name])]
            except DataError as error:
                items = [Reject(name, str(error))]
            yield items

    def _study(self, name: str, images: list[_MIMICImage]) -> Iterator[Study | Reject]:
        present = []
        for image in images:
            if why := why_missing(self._path(image), self._files):
                yield Reject(f"{name} ({image.dicom}.jpg)", why)
            else:
                present.append(image)
        first = images[0]
        sections = self._sections(first.folder, first.study)
        entry = self._entries.get(first.dicom)
        if entry is not None and self.section == "report":
            text = entry.report
        else:
            text = _target(sections or {}, self.section)
        if not present:
            yield Reject(name, "no image")
        elif not normalise(text):
            yield Reject(name, "no report" if sections is None else f"empty {self.section}")
        else:
            shown = [StudyImage(str(self._path(i)), i.view or "frontal") for i in present]
            yield Study(
                id=name,
                split=first.split if entry is None else entry.split,
                images=pair_of_views(shown) if len(shown) > 1 else tuple(shown),
                report=text,
                sections=sections or {},
                labels=self._labels.get(first.study),
                patient=f"p{first.subject}",
            )

    def _path(self, image: _MIMICImage) -> Path:
        return self._files / image.folder / f"s{image.study}" / f"{image.dicom}.jpg"

    def _read_report(self, folder: str, study: str) -> Mapping[str, str] | None:
        """Sections of a report; None if there is none."""
        if self._sectioned is not None:
            return self._sectioned.get(f"s{study}")
        try:
            with open_file(self._reports / folder / f"s{study}.txt") as file:
                content = file.read(_LARGEST_REPORT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"its report cannot be read: {error.strerror}") from error
        if len(content) > _LARGEST_REPORT:
            raise DataError(f"its report has more than {_LARGEST_REPORT:,} bytes")
        return self._split(content.decode("utf-8", "replace"))

    def _require_reports(self) -> None:
        """DataError if there is no report at all: they come in an archive of their own."""
        if self._entries and self.section == "report":
            return
        first = [images[0] for images in list(self._samples.values())[:1000]]
        if first and not any(self._has_report(image) for image in first):
            raise DataError(
                f"{self._reports}: no reports such as {first[0].folder}/s{first[0].study}.txt; "
                "unpack mimic-cxr-reports.zip of MIMIC-CXR and name its folder with --reports"
            )

    def _has_report(self, image: _MIMICImage) -> bool:
        try:
            return self._read_report(image.folder, image.study) is not None
        except DataError:  # it is there; its study will be left out
            return True

    def _require_images(self) -> None:
        images = [image for group in self._samples.values() for image in group]
        lost = [
            f"{i.folder}/s{i.study}/{i.dicom}.jpg" for i in images if not self._path(i).is_file()
        ]
        lost += [f"{reject.what}: {reject.why}" for reject in self._lost]
        if lost:
            raise DataError(
                f"{self._files}: {len(lost):,} images are missing, first: {'; '.join(lost[:5])}; "
                "--incomplete prepares what there is"
            )


def _target(sections: Mapping[str, str], section: Section) -> str:
    """The target text; where neither findings nor impression has a heading, "both" is the end."""
    if section == "report":
        sections = {name: text for name, text in sections.items() if name not in _NOT_THE_REPORT}
    text = section_text(sections, section)
    return text or (sections.get("last_paragraph", "") if section == "both" else "")


def _files_in(folder: Path) -> Path:
    """The folder that holds p10 … p19: `folder/files`, or the folder itself."""
    for place in (folder / "files", folder):
        if any(path.is_dir() for path in place.glob("p1[0-9]")):
            return real_path(place)
    raise DataError(f"{folder}: holds no files/p10 … p19; name the folder as PhysioNet lays it out")


def _table(root: Path, name: str) -> Path:
    """A table beside the images, packed or not."""
    paths = [root / f"mimic-cxr-2.0.0-{name}.csv{packed}" for packed in (".gz", "")]
    return next((path for path in paths if path.is_file()), paths[0])


def _read_tables(root: Path) -> dict[str, _MIMICImage]:
    """dicom_id → image, in the order of the table of splits."""
    position, code = "ViewPosition", "ViewCodeSequence_CodeMeaning"
    views: dict[str, View | None] = {}
    for row in read_rows(metadata := _table(root, "metadata"), ("dicom_id", position), (code,)):
        view = view_named(row[position] or "") or view_named(row.get(code) or "")
        views[row["dicom_id"]] = view
    images: dict[str, _MIMICImage] = {}
    path = _table(root, "split")
    for row in read_rows(path, ("dicom_id", "study_id", "subject_id", "split")):
        names = (row["dicom_id"], row["study_id"], row["subject_id"])
        dicom, study, subject = (identity(name or "") for name in names)
        if not _IDS.fullmatch(f"{subject} {study} {dicom}"):  # they become paths
            raise DataError(f"{path}: {subject!r}, {study!r}, {dicom!r} are not ids of MIMIC-CXR")
        if dicom not in views:
            raise DataError(f"{metadata}: image {dicom} is missing, which {path} names")
        split = split_named(row["split"], f"{path}, {dicom}")
        images[dicom] = _MIMICImage(dicom, subject, study, split, views[dicom])
    return images


def _grouped(images: list[_MIMICImage], samples: Samples) -> dict[str, list[_MIMICImage]]:
    """Images of each sample: known frontal views first, then unknown, then lateral ones."""
    groups: dict[str, list[_MIMICImage]] = {}
    for image in images:
        name = image.dicom if samples == "image" else f"s{image.study}"
        groups.setdefault(name, []).append(image)
    order = {"frontal": 0, None: 1, "lateral": 2}
    for group in groups.values():
        group.sort(key=lambda image: order[image.view])
    return groups


def _read_labels(root: Path) -> Mapping[str, Mapping[str, int | None]]:
    path = _table(root, "chexpert")
    return read_labels(path) if path.is_file() else {}


def _read_sectioned(path: Path) -> dict[str, Mapping[str, str]]:
    names = ("impression", "findings", "last_paragraph", "comparison")
    return {
        row["study"]: {name: row[name] for name in names if row[name] is not None}
        for row in read_rows(path, ("study", *names), prose=names)
    }


def _require_published(
    table: Mapping[str, _MIMICImage], entries: Mapping[str, AnnotatedReport]
) -> None:
    hint = "--incomplete prepares what there is"
    if entries:
        counts = Counter(entry.split for entry in entries.values())
        if any(counts[split] != R2GEN_COUNTS[split] for split in SPLITS):
            found, known = (
                "/".join(f"{given[split]:,}" for split in SPLITS)
                for given in (counts, R2GEN_COUNTS)
            )
            raise DataError(f"the annotation has {found} samples instead of {known}; {hint}")
    elif len(table) != IMAGE_COUNT:
        raise DataError(
            f"the table of splits has {len(table):,} images instead of {IMAGE_COUNT:,}; {hint}"
        )
