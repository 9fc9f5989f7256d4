"""The studies that a command is given: a split of a data set, or image files.

Image files are named by themselves, by folders, by patterns, or in a list on stdin.
"""

import os
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.errors import DataError, ImageError, UsageError
from kia.files.regular import open_file
from kia.imaging.views import view_at
from kia.studies import SPLITS, Study, StudyImage, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.data.store.dataset import PreparedDataset
    from kia.imaging.workers import LoadedStudy
    from kia.processing import KIAProcessor

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")
"""What counts as an image in a folder."""

Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="PNG, JPEG or DICOM files, one study each, but DICOM files by their study; folders; "
        "'patterns*.png'; - for a list of names on stdin"
    ),
]
DataSet = Annotated[Path, typer.Option(help="prepared data set")]
Data = Annotated[Path | None, typer.Option(help="prepared data set, instead of images")]
SplitOf = Annotated[str, typer.Option(help="train, val or test, with --data")]
StudyViews = Annotated[
    list[str] | None,
    typer.Option("--study", help="the views of one study: frontal.png,lateral.png"),
]


def given_studies(images: Sequence[str] | None, views: Sequence[str] | None) -> list[Study]:
    """The studies that a command was given.

    DICOM files of one folder with the same StudyInstanceUID are one study. Every other image is
    a study.

    Args:
        images: Files, folders (searched without their subfolders), patterns, or "-".
        views: Comma-separated files of one study each: the first is frontal, the others lateral.

    Raises:
        DataError: A folder or pattern holds no image.
        UsageError: A list on stdin is empty.
    """
    asked = [[name.strip() for name in one.split(",")] for one in views or []]
    ordered = [[StudyImage(n, view_at(i)) for i, n in enumerate(names)] for names in asked]
    return [*_grouped(_files(images or [])), *map(_study, ordered)]


def _grouped(paths: Iterable[Path]) -> list[Study]:
    """DICOM files by study, in the order of their first files; the others by themselves."""
    from kia.imaging.views import pair_of_views

    found: dict[object, list[tuple[View | None, Path]]] = {}
    for path in paths:
        study, view = _study_and_view(path)
        found.setdefault((path.parent, study) if study else path, []).append((view, path))
    studies = []
    for files in found.values():
        known = sorted(files, key=lambda file: ("frontal", None, "lateral").index(file[0]))
        images = [StudyImage(str(p), view or view_at(i)) for i, (view, p) in enumerate(known)]
        if len(images) > 2:
            console.err.print(
                f"{files[0][1].parent}: a study with {len(images)} images; the first frontal and "
                "the first lateral one are read",
                markup=False,
                soft_wrap=True,
            )
        studies.append(_study(pair_of_views(images)))
    return studies


def _study_and_view(path: Path) -> tuple[str | None, View | None]:
    """What the header says; its reader takes 0.4 s to import, so only DICOM files pay for it."""
    try:
        with open_file(path) as file:
            is_dicom = file.read(132)[128:] == b"DICM"
    except OSError:  # the decoder will say what it is
        is_dicom = False
    if not is_dicom:
        return None, None
    from kia.imaging.dicom.header import study_and_view

    return study_and_view(path)


def _study(images: Sequence[StudyImage]) -> Study:
    return Study(", ".join(image.path for image in images), "test", tuple(images), report="")


def decoded_studies(
    studies: Sequence[Study], processor: "KIAProcessor"
) -> "Generator[LoadedStudy, None, None]":
    """Reads the images of studies in worker processes, which a damaged file may kill."""
    from kia.imaging.workers import decode_studies

    workers = min(os.cpu_count() or 1, sum(len(study.images) for study in studies))
    yield from decode_studies(studies, processor.image_size, processor.resize, workers)


def whole_studies(studies: Sequence[Study], processor: "KIAProcessor") -> "list[LoadedStudy]":
    """The same, all of them at once, so that a bad file costs no time.

    Raises:
        ImageError: An image cannot be read.
    """
    loaded = []
    with closing(decoded_studies(studies, processor)) as decoded:
        for one in decoded:
            if one.rejects:
                raise ImageError(one.rejects[0].why)
            loaded.append(one)
    return loaded


def described_images(one: "LoadedStudy", processor: "KIAProcessor") -> dict[str, Any]:
    """`images`, `views` and `flags`: which images, read as what, and what is odd about them."""
    from kia.imaging.plausibility import study_flags

    views = [image.view for image in one.study.images]
    assert one.pixels is not None
    return {
        "images": [image.path for image in one.study.images],
        "views": views,
        "flags": study_flags(one.pixels, views, processor.reference, one.found, one.shapes),
    }


def warn_of(entry: Mapping[str, Any]) -> None:
    """Prints the flags of an entry that `described_images` began."""
    for flag in entry["flags"]:
        console.show_warning(f"{entry['images'][flag['view']]}: {flag['message']}")


def check_source(studies: Sequence[Study], data: Path | None, split: str) -> None:
    """Refuses images together with a data set, neither of them, and a split that there is not."""
    if bool(studies) == bool(data):
        raise UsageError("name images (or --study), or a data set with --data, and not both")
    check_split(split)


def check_split(split: str) -> None:
    """Refuses a split that there is not."""
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
