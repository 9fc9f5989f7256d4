"""The studies that a command is given: a split of a data set, or image files.

Image files are named by themselves, by folders, by patterns, or in a list on stdin.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli import console
from kia.errors import UsageError
from kia.studies import SPLITS, Study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.data.store.dataset import PreparedDataset
    from kia.imaging.plausibility import Flag

MANY = 200
"""Files that are looked at with a progress bar."""

Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="PNG, JPEG or DICOM files, one study each, but DICOM files by their study; folders, "
        "with all below; 'patterns*.png'; - for a list of names on stdin"
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
    """The studies that a command was given, as `kia.read_studies` finds them.

    Args:
        images: Files, folders, patterns, or "-" for names on stdin.
        views: Comma-separated files of one study each: the first is frontal, the others lateral.

    Raises:
        DataError: A folder or pattern holds no image, or a study would have two patients.
        ImageError: None of the images is a chest X-ray.
        UsageError: A list on stdin is empty.
    """
    names: list[str | Path] = []
    for name in images or ():
        names += _listed() if name == "-" else [name]
    told = [[name.strip() for name in one.split(",")] for one in views or ()]
    if not names and not told:
        return []
    from kia.imaging.grouping import read_studies

    with looking() as on_progress:
        return read_studies([*names, *told], on_progress=on_progress)


def _listed() -> list[Path]:
    listed = [Path(line.strip()) for line in sys.stdin if line.strip()]
    if not listed:
        raise UsageError("-: no file name on stdin")
    return listed


@contextmanager
def looking() -> Iterator[Callable[[int, int], None]]:
    """A progress bar for what looks at many files; none for a few."""
    with ExitStack() as shown:
        bar = console.progress()
        task = bar.add_task("files")

        def told(done: int, total: int) -> None:
            if total >= MANY:
                if done == 1:
                    shown.enter_context(bar)
                bar.update(task, completed=done, total=total)

        yield told


def warn_of(flags: "Sequence[Flag]", names: Sequence[str]) -> None:
    """Prints the flags of a study.

    Args:
        flags: Of its pictures.
        names: Of its images.
    """
    from kia.imaging.plausibility.flags import LEFT_OUT

    for flag in flags:
        what = "" if flag["kind"] == LEFT_OUT else f"{names[flag['view']]}: "
        console.show_warning(f"{what}{flag['message']}")


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
