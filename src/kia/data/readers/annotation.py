"""R2Gen's annotation.json: the reports and the split that most of the field compares on.

Format of Chen et al., "Generating radiology reports via memory-driven transformer", EMNLP 2020:
`{"train": [{"id", "report", "image_path": […], "split"}], "val": …, "test": …}`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.studies import SPLITS, Split
from kia.tables.json_lines import read_json


@dataclass(frozen=True, slots=True)
class AnnotatedReport:
    """One entry.

    Attributes:
        id: Of the study (IU X-Ray) or of the image (MIMIC-CXR).
        split: Where it is listed.
        report: The target text.
        images: Paths below the folder of images; () if the file does not say.
    """

    id: str
    split: Split
    report: str
    images: tuple[str, ...]


def read_annotation(path: Path) -> list[AnnotatedReport]:
    """The entries, train first.

    Raises:
        DataError: The file is missing or malformed, or an id occurs twice.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not any(split in content for split in SPLITS):
        raise DataError(f"{path}: expected the keys {', '.join(SPLITS)}")
    found: dict[str, AnnotatedReport] = {}
    for entry in _entries(content, path):
        if entry.id in found:
            where = " and ".join(dict.fromkeys((found[entry.id].split, entry.split)))
            raise DataError(f"{path}: study {entry.id} occurs twice (in {where})")
        found[entry.id] = entry
    return list(found.values())


def _entries(content: dict[str, Any], path: Path) -> Iterator[AnnotatedReport]:
    for split in SPLITS:
        entries = content.get(split, [])
        if not isinstance(entries, list):
            raise DataError(f"{path}: {split} is not a list")
        for entry in entries:
            if not isinstance(entry, dict) or not all(
                isinstance(entry.get(key), str) for key in ("id", "report", "split")
            ):
                raise DataError(f"{path}: an entry of {split} lacks id, report or split")
            if entry["split"] != split:
                raise DataError(
                    f"{path}: study {entry['id']} is listed under {split} "
                    f"but says split {entry['split']!r}"
                )
            images = entry.get("image_path", [])
            if not isinstance(images, list) or not all(isinstance(i, str) for i in images):
                raise DataError(f"{path}: image_path of {entry['id']} is not a list of paths")
            yield AnnotatedReport(entry["id"], split, entry["report"], tuple(images))
