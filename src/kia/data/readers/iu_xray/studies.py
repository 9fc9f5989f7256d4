"""IU X-Ray: chest X-ray studies of Indiana University (NLM Open-i), from whatever a user has.

Source: Demner-Fushman et al., "Preparing a collection of radiology examinations for distribution
and retrieval", JAMIA 2016; images and tables as republished on Kaggle; split of Chen et al.,
"Generating radiology reports via memory-driven transformer", EMNLP 2020: 2,069 train, 296 val and
590 test studies, those with findings and at least two images. Licence of the data:
CC BY-NC-ND 4.0.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kia.data.readers.annotation import AnnotatedReport, read_annotation
from kia.data.readers.iu_xray.images import IUImages, Listed, read_projections
from kia.data.readers.iu_xray.reports import IUReport, read_reports, uid_of
from kia.data.readers.splits import RandomSplit, read_split
from kia.data.reports import Section, default_section, normalise, section_text
from kia.errors import DataError, UsageError
from kia.ids import match_ids
from kia.imaging.workers import Reject
from kia.studies import SPLITS, Split, Study

SPLIT_COUNTS: Mapping[str, int] = {"train": 2069, "val": 296, "test": 590}
"""Studies of the R2Gen split."""
REPORT_COUNTS = (3851, 3955)
"""All reports, as published by Kaggle (those with images) and by Open-i."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A study before its images are looked for; `why_not` says why it cannot be one."""

    id: str
    uid: str
    split: Split | None
    text: str
    sections: Mapping[str, str]
    listed: list[Listed]
    why_not: str


def read_iu_xray(
    images_dir: Path,
    annotation: Path | None = None,
    reports: Path | None = None,
    projections: Path | None = None,
    *,
    split: Path | RandomSplit | None = None,
    section: Section | None = None,
    id_column: str | None = None,
    complete: bool = True,
) -> tuple[list[Study], list[Reject]]:
    """Read the studies of IU X-Ray; images are found, not decoded.

    View 0 is the first frontal image, view 1 the first lateral one, in the order of
    `projections` and among the images that are there. A study without such a pair keeps
    its first two images, under their true views.

    Args:
        images_dir: Images under Open-i's or Kaggle's names, as .png, .jpg or .jpeg; or R2Gen's
            folders CXR…/0.png.
        annotation: R2Gen's annotation.json: its studies, in its order and split. Without it the
            studies are all reports.
        reports: NLMCXR_reports.tgz, the folder of its XML files, or indiana_reports.csv: the
            sections. May be absent where there is an annotation.
        projections: indiana_projections.csv: the views. Without it the first image counts as
            frontal and the others as lateral.
        split: A file (`read_split`; of study ids or numbers), or drawn by report; None for the
            annotation's.
        section: The target text. None for the annotation's own text, as it is ("report"), or
            the findings where there is no annotation.
        id_column: The column of ids in a file of splits, if it is there; else the usual ones.
        complete: Refuse any other counts than the published ones, and studies whose images are
            lost; otherwise those are just rejects.

    Returns:
        Studies in the order of the annotation or of their numbers, and what was left out
        (studies and images).

    Raises:
        DataError: A file is missing or malformed, splits contradict each other, or something is
            missing and `complete` is set.
        UsageError: The sources do not tell the split or the section.
    """
    section = chosen_section(annotation, reports, split, section)
    entries = None if annotation is None else read_annotation(annotation)
    texts, rejects = ({}, []) if reports is None else read_reports(reports)
    if complete and entries is None:
        _require_all_reports(reports, len(texts))
    folder = IUImages.in_folder(images_dir)
    views = {} if projections is None else read_projections(projections)
    pairs = _pairs(entries, texts)
    candidates = [_candidate(*pair, views, folder, section) for pair in pairs]
    lost: list[Reject] = []
    if split is not None:
        candidates = _assigned(candidates, split, lost, id_column)
    # What the annotation promises and is not there is lost; a report without text is as published.
    promised = entries is not None and section in ("report", "findings")
    studies = _studies(candidates, folder, promised, rejects, lost)
    if complete:
        _require_published(candidates, lost, by_r2gen=entries is not None and split is None)
    return studies, rejects + lost


def _require_published(candidates: list[_Candidate], lost: list[Reject], *, by_r2gen: bool) -> None:
    gone = {reject.what for reject in lost}
    counts = Counter[str](c.split for c in candidates if c.split and c.id not in gone)
    require_complete(counts, lost, SPLIT_COUNTS if by_r2gen else None)


def files_of(*paths: object) -> list[Path]:
    """Files among the arguments of `read_iu_xray`, and those of a folder of reports."""
    given = [path for path in paths if isinstance(path, Path)]
    return [file for p in given for file in (sorted(p.rglob("*.xml")) if p.is_dir() else [p])]


def _require_all_reports(reports: Path | None, count: int) -> None:
    if count not in REPORT_COUNTS:
        known = " or ".join(f"{published:,}" for published in REPORT_COUNTS)
        raise DataError(
            f"{reports} holds {count:,} reports instead of {known}; "
            "--incomplete prepares what there is"
        )


def require_complete(
    counts: Mapping[str, int], lost: Iterable[Reject], expected: Mapping[str, int] | None = None
) -> None:
    """DataError naming the first lost studies, unless none is and the counts are as expected."""
    lost = list(lost)
    if not lost and (expected is None or _slashed(counts) == _slashed(expected)):
        return
    first = "; ".join(f"{reject.what}: {reject.why}" for reject in lost[:5])
    which = f"{len(lost)} studies are lost, first: {first}" if lost else "none is lost"
    instead = "" if expected is None else f" instead of {_slashed(expected)}"
    raise DataError(
        f"IU X-Ray has {_slashed(counts)} studies{instead} (train/val/test); {which}; "
        "--incomplete prepares what there is"
    )


def chosen_section(
    annotation: Path | None,
    reports: Path | None,
    split: Path | RandomSplit | None,
    section: Section | None,
) -> Section:
    """The section that `read_iu_xray` takes; UsageError if its sources do not tell enough."""
    if annotation is None and reports is None:
        raise UsageError("IU X-Ray needs --reports, or --annotation")
    if annotation is None and split is None:
        raise UsageError("without --annotation, say how to split: --split random, or a file")
    if reports is None and section in ("impression", "both"):
        raise UsageError(f"--section {section} needs --reports: the annotation has findings only")
    return section or default_section(annotation)


def _pairs(
    entries: list[AnnotatedReport] | None, texts: Mapping[str, IUReport]
) -> Iterator[tuple[AnnotatedReport | None, IUReport]]:
    """Studies to be: those of the annotation, or all reports."""
    if entries is None:
        yield from ((None, report) for report in texts.values())
        return
    split_of: dict[str, Split] = {}
    for entry in entries:
        uid = uid_of(entry.id)
        if uid in split_of:
            where = " and ".join(dict.fromkeys((split_of[uid], entry.split)))
            raise DataError(f"annotation: study {entry.id} occurs twice (in {where})")
        split_of[uid] = entry.split
        # Without the reports the annotation's text is all there is: R2Gen took the findings.
        yield entry, texts.get(uid, IUReport(uid, {} if texts else {"findings": entry.report}))


def _candidate(
    entry: AnnotatedReport | None,
    report: IUReport,
    views: Mapping[str, list[Listed]],
    folder: IUImages,
    section: Section,
) -> _Candidate:
    listed = _listed(entry, report, views, folder)
    text = entry.report if entry and section == "report" else section_text(report.sections, section)
    why_not = f"empty {section}" if not normalise(text) else "" if listed else "no image"
    return _Candidate(
        id=entry.id if entry else folder.study_id(report.uid, listed),
        uid=report.uid,
        split=entry.split if entry else None,
        text=text,
        sections=report.sections,
        listed=listed,
        why_not=why_not,
    )


def _listed(
    entry: AnnotatedReport | None,
    report: IUReport,
    views: Mapping[str, list[Listed]],
    folder: IUImages,
) -> list[Listed]:
    """Names of a study's images: what its source lists, or what lies there."""
    if not folder.files:
        names = entry.images if entry else ()
        return [(Path(name).name, None) for name in names] or folder.listed(report.uid)
    if views:
        return views.get(report.uid, [])
    return [(name, None) for name in report.images] or folder.listed(report.uid)


def _assigned(
    candidates: list[_Candidate],
    split: Path | RandomSplit,
    lost: list[Reject],
    id_column: str | None,
) -> list[_Candidate]:
    """Candidates with the split of a file, or one drawn among those that can be studies."""
    if isinstance(split, RandomSplit):
        drawn = split.draw(c.uid for c in candidates if not c.why_not)
        return [replace(c, split=drawn.get(c.uid)) for c in candidates]
    given = read_split(split, id_column)
    matched = match_ids([candidate.id for candidate in candidates], given)
    lost += [
        Reject(name, "in the split file, but not among the studies")
        for name in sorted(matched.unused)
    ]
    parts = {name: given[other] for name, other in matched.pairs.items()}
    return [replace(candidate, split=parts.get(candidate.id)) for candidate in candidates]


def _studies(
    candidates: Iterable[_Candidate],
    folder: IUImages,
    promised: bool,
    rejects: list[Reject],
    lost: list[Reject],
) -> list[Study]:
    """Candidates whose images are found; the others go to `rejects`, or to `lost` if promised."""
    studies: list[Study] = []
    for candidate in candidates:
        images, missing = folder.find(candidate.uid, candidate.listed)
        rejects += [Reject(f"{candidate.id} ({name})", "image is missing") for name in missing]
        if candidate.why_not or not images:
            why = candidate.why_not or "no image"
            expected = bool(candidate.why_not) and not promised
            (rejects if expected else lost).append(Reject(candidate.id, why))
        elif candidate.split is None:
            rejects.append(Reject(candidate.id, "not in the split file"))
        else:
            text, sections = candidate.text, candidate.sections
            studies.append(Study(candidate.id, candidate.split, images, text, sections))
    return studies


def _slashed(counts: Mapping[str, int]) -> str:
    return "/".join(f"{counts.get(split, 0):,}" for split in SPLITS)
