"""IU X-Ray: chest X-ray studies of Indiana University (NLM Open-i), the R2Gen split.

Source: Demner-Fushman et al., "Preparing a collection of radiology examinations for distribution
and retrieval", JAMIA 2016; images and tables as republished on Kaggle; split of Chen et al.,
"Generating radiology reports via memory-driven transformer", EMNLP 2020. Licence of the data:
CC BY-NC-ND 4.0. 2,069 train, 296 val and 590 test studies.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from kia.data.prepare import Reject
from kia.data.reports import normalise
from kia.errors import DataError
from kia.studies import SPLITS, Split, Study, StudyImage, View

SPLIT_COUNTS: Mapping[str, int] = {"train": 2069, "val": 296, "test": 590}
"""Studies of the R2Gen split."""
SECTIONS = ("indication", "comparison", "findings", "impression")

_UID = re.compile(r"CXR(\d+)_")
_EXTENSIONS = (".jpg", ".jpeg", ".png")
_VIEWS: Mapping[str, View] = {"Frontal": "frontal", "Lateral": "lateral"}


def read_iu_xray(
    images_dir: Path,
    annotation: Path,
    reports_csv: Path,
    projections_csv: Path,
    *,
    complete: bool = True,
) -> tuple[list[Study], list[Reject]]:
    """Read the studies of IU X-Ray; images are found, not decoded.

    View 0 is the first frontal image, view 1 the first lateral one, in the order of
    `projections_csv` and among the images that are there. A study without such a pair keeps
    its first two images, under their true views.

    Args:
        images_dir: Images under Kaggle's names, as .png, .jpg or .jpeg.
        annotation: R2Gen's annotation.json; its text is the report.
        reports_csv: indiana_reports.csv, for the sections.
        projections_csv: indiana_projections.csv, for the views.
        complete: Refuse any other counts than `SPLIT_COUNTS`; otherwise studies without report
            or image are just rejects.

    Returns:
        Studies in the order of the annotation, and what was left out (studies and images).

    Raises:
        DataError: A file is missing or malformed, splits contradict each other, or the counts
            deviate and `complete` is set.
    """
    records = _read_annotation(annotation)
    sections = _read_sections(reports_csv)
    projections = _read_projections(projections_csv)
    if not images_dir.is_dir():
        raise DataError(f"{images_dir}: no such folder of images")
    present = {path.name: path for path in images_dir.resolve().iterdir()}
    studies: list[Study] = []
    lost: list[Reject] = []
    unused: list[Reject] = []
    for record in records:
        uid = _uid(record["id"])
        images, missing = _find_images(projections.get(uid, []), present)
        unused += [Reject(f"{record['id']} ({name})", "image is missing") for name in missing]
        report = normalise(record["report"])
        if not report or not images:
            lost.append(Reject(record["id"], "no image" if report else "empty report"))
            continue
        split = cast(Split, record["split"])
        text = sections.get(uid, {})
        studies.append(Study(record["id"], split, images, record["report"], text))
    if complete:
        require_complete(Counter(study.split for study in studies), lost)
    return studies, unused + lost


def require_complete(counts: Mapping[str, int], lost: Iterable[Reject]) -> None:
    """DataError naming the first lost studies, unless the counts are those of the R2Gen split."""
    found: dict[str, int] = {split: counts.get(split, 0) for split in SPLITS}
    if found == dict(SPLIT_COUNTS):
        return
    lost = list(lost)
    first = "; ".join(f"{reject.what}: {reject.why}" for reject in lost[:5])
    which = f"{len(lost)} studies are lost, first: {first}" if lost else "none is lost"
    raise DataError(
        f"IU X-Ray has {_slashed(found)} studies instead of {_slashed(SPLIT_COUNTS)} "
        f"(train/val/test); {which}; --incomplete prepares what there is"
    )


def _read_annotation(path: Path) -> list[dict[str, str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict) or not any(split in content for split in SPLITS):
        raise DataError(f"{path}: expected the keys {', '.join(SPLITS)}")
    records: list[dict[str, str]] = []
    split_of: dict[str, str] = {}
    for split in SPLITS:
        for record in content.get(split, []):
            _check_record(record, split, path)
            uid = _uid(record["id"])
            if uid in split_of:
                where = " and ".join(dict.fromkeys((split_of[uid], split)))
                raise DataError(f"{path}: study {record['id']} occurs twice (in {where})")
            split_of[uid] = split
            records.append(record)
    return records


def _check_record(record: Any, split: str, path: Path) -> None:
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), str) for key in ("id", "report", "split")
    ):
        raise DataError(f"{path}: an entry of {split} lacks id, report or split")
    if record["split"] != split:
        raise DataError(
            f"{path}: study {record['id']} is listed under {split} "
            f"but says split {record['split']!r}"
        )


def _uid(study_id: str) -> str:
    match = _UID.match(study_id)
    if match is None:
        raise DataError(f"study id {study_id!r} is not of the form CXR<uid>_…")
    return match[1]


def _read_sections(path: Path) -> dict[str, dict[str, str]]:
    rows = _read_csv(path, ("uid", *SECTIONS))
    return {
        row["uid"]: {name: row[name] for name in SECTIONS if (row[name] or "").strip()}
        for row in rows
    }


def _read_projections(path: Path) -> dict[str, list[tuple[str, View]]]:
    images: dict[str, list[tuple[str, View]]] = {}
    for row in _read_csv(path, ("uid", "filename", "projection")):
        view = _VIEWS.get(row["projection"])
        if view is None:
            raise DataError(f"{path}: {row['filename']} has projection {row['projection']!r}")
        images.setdefault(row["uid"], []).append((row["filename"], view))
    return images


def _read_csv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path}: no column {', '.join(missing)}")
            return list(reader)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: not readable as CSV ({error})") from error


def _find_images(
    listed: list[tuple[str, View]], present: Mapping[str, Path]
) -> tuple[tuple[StudyImage, ...], list[str]]:
    """The images of a study that are used, and the names of those that are not there."""
    found: list[StudyImage] = []
    missing: list[str] = []
    for name, view in listed:
        stem = Path(name).stem if name.lower().endswith(_EXTENSIONS) else name
        names = (name, *(stem + extension for extension in _EXTENSIONS))
        path = next((present[other] for other in names if other in present), None)
        if path is None:
            missing.append(name)
        else:
            found.append(StudyImage(str(path), view))
    frontal = [image for image in found if image.view == "frontal"]
    lateral = [image for image in found if image.view == "lateral"]
    pair = [*frontal[:1], *lateral[:1]]
    return tuple(pair if len(pair) == 2 else found[:2]), missing


def _slashed(counts: Mapping[str, int]) -> str:
    return "/".join(f"{counts[split]:,}" for split in SPLITS)
