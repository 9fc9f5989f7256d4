"""The studies that a command is given: a split of a data set, or image files.

Image files are named by themselves, by folders, by patterns, or in a list on stdin.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.errors import DataError, UsageError
from kia.studies import SPLITS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.data.store import PreparedDataset

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
"""What counts as an image in a folder."""

Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="PNG, JPEG or DICOM files, one study each; folders; 'patterns*.png'; "
        "- for a list of names on stdin"
    ),
]
Data = Annotated[Path | None, typer.Option(help="prepared data set, instead of images")]
SplitOf = Annotated[str, typer.Option(help="train, val or test, with --data")]
StudyViews = Annotated[
    list[str] | None,
    typer.Option("--study", help="the views of one study: frontal.png,lateral.png"),
]


def given_studies(images: Sequence[str] | None, views: Sequence[str] | None) -> list[list[Path]]:
    """The studies that a command was given, each a list of its images.

    Args:
        images: Files, folders (searched without their subfolders), patterns, or "-".
        views: Comma-separated files of one study each.

    Raises:
        DataError: A folder or pattern holds no image.
        UsageError: A list on stdin is empty.
    """
    studies = [[path] for path in _files(images or [])]
    return studies + [[Path(name.strip()) for name in one.split(",")] for one in views or []]


def check_source(studies: Sequence[Sequence[Path]], data: Path | None, split: str) -> None:
    """Refuses images together with a data set, neither of them, and a split that there is not."""
    if bool(studies) == bool(data):
        raise UsageError("name images (or --study), or a data set with --data, and not both")
    if split not in SPLITS:
        raise UsageError(f"--split {split}: use train, val or test")


def split_studies(dataset: "PreparedDataset", split: str) -> "NDArray[np.int64]":
    """Numbers of the studies of a split; UsageError if it has none."""
    studies = dataset.indices(split)  # type: ignore[arg-type]
    if not len(studies):
        raise UsageError(f"{dataset.path} has no {split} studies")
    return studies


def _files(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        if name == "-":
            listed = [line.strip() for line in sys.stdin if line.strip()]
            if not listed:
                raise UsageError("-: no file name on stdin")
            yield from map(Path, listed)
        elif Path(name).is_dir():
            yield from _images_among(Path(name).iterdir(), name, "folder")
        elif not Path(name).exists() and any(sign in name for sign in "*?["):
            found = glob(name, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
            yield from _images_among(map(Path, found), name, "pattern")
        else:
            yield Path(name)


def _images_among(paths: Iterable[Path], name: str, kind: str) -> list[Path]:
    found = sorted(
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise DataError(f"{name}: no image in this {kind} ({', '.join(IMAGE_SUFFIXES)})")
    return found
