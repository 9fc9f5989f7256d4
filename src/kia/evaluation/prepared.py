"""What an evaluation takes from a prepared data set: references, groups, images, drawn findings."""

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kia.errors import DataError, UsageError
from kia.evaluation.board.systems import References
from kia.evaluation.groups import banded
from kia.evaluation.language.protocols import DatasetStyle, dataset_style
from kia.ids import is_image
from kia.studies import SPLITS, Split
from kia.tables.notes import note

if TYPE_CHECKING:
    from kia.data.store.dataset import PreparedDataset

_STUDY_FOLDER = re.compile(r"(?:^|/)s(\d+)/[^/]+$")


def dataset_references(
    folder: str | Path,
    split: Split,
    dataset: DatasetStyle | None = None,
    by: Sequence[str] = (),
) -> References:
    """The references of a split, with the training and validation reports of the data set.

    Args:
        folder: A prepared data set.
        split: What is scored.
        dataset: Cleaning, vocabulary and cut of "iu" or "mimic"; if absent those of the source that
            the data set records, and if they differ that is noted.
        by: "view", or sections of the reports (sex, age …), to split the results.

    Raises:
        DataError: The split has no studies.
        UsageError: A column of `by` is not there.
    """
    from kia.data.store.dataset import PreparedDataset

    prepared = PreparedDataset.open(folder)
    ids = prepared.ids(split)
    if not ids:
        raise DataError(f"{folder}: split {split} has no studies")
    return References(
        dict(zip(ids, prepared.reports(split), strict=True)),
        prepared.reports("train"),
        # the best constant must not be chosen on what is scored
        None if split == "val" else prepared.reports("val"),
        _style(prepared, dataset),
        {
            "hash": prepared.info["content_hash"],
            "split": split,
            "source": prepared.info.get("source"),
        },
        groups={name: _group(prepared, ids, name, folder) for name in by},
        other_splits={name: prepared.ids(name) for name in SPLITS if name != split},
    )


def _style(prepared: "PreparedDataset", given: DatasetStyle | None) -> DatasetStyle:
    source = prepared.info.get("source")
    own = dataset_style(source)
    if given not in (None, own):
        note(
            f"{prepared.path} comes from {source}, whose protocol is {own}; scored by that of "
            f"{given}, as told"
        )
    return given or own


def studies_of_images(folder: str | Path, split: Split) -> dict[str, str]:
    """dicom_id → study of MIMIC-CXR, from the folders that its images lay in; {} for other sets."""
    from kia.data.store.dataset import PreparedDataset

    prepared = PreparedDataset.open(folder)
    found: dict[str, str] = {}
    for id_ in prepared.ids(split):
        if not is_image(id_):
            return found
        paths = prepared.row(prepared.index_of(id_), ("paths",))["paths"]
        if paths and (match := _STUDY_FOLDER.search(paths[0])):
            found[id_] = match[1]
    return found


def _group(
    prepared: "PreparedDataset", ids: Sequence[str], column: str, folder: str | Path
) -> dict[str, str]:
    """Study → value of a column: its views, or what its sections say (sex, age …)."""
    values: dict[str, str] = {}
    for id_ in ids:
        index = prepared.index_of(id_)
        if column == "view":
            values[id_] = " + ".join(sorted(set(prepared.views(index))))
        else:
            sections = prepared.study(index).sections
            found = {name.lower(): text for name, text in sections.items()}.get(column, "")
            values[id_] = found.strip()
    if not any(values.values()):
        raise UsageError(f"--by {column}: {folder} has no such column")
    return banded(values, column)


def study_images(folder: str | Path) -> Callable[[str], list[bytes]]:
    """Study id → its images as PNG files."""
    from PIL import Image

    from kia.data.store.dataset import PreparedDataset

    prepared = PreparedDataset.open(folder)

    def images(study: str) -> list[bytes]:
        files = []
        for view in prepared.pixels(prepared.index_of(study)):
            file = io.BytesIO()
            Image.fromarray(view).save(file, "PNG")
            files.append(file.getvalue())
        return files

    return images


def phantom_findings(
    folder: str | Path | None, reports: Sequence[str], references: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, float]] | None:
    """Findings that reports of phantoms call present, against what was drawn; None for others."""
    if folder is None:
        return None
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.baselines import most_frequent
    from kia.phantoms.scores import finding_scores

    prepared = PreparedDataset.open(folder)
    if not str(prepared.info.get("source", "")).startswith("phantom"):
        return None
    truth = [prepared.study(prepared.index_of(id)).labels or {} for id in ids]
    constant = most_frequent(prepared.reports("train")).report
    return {
        "predictions": finding_scores(reports, truth),
        "most_frequent": finding_scores([constant] * len(truth), truth),
    }
