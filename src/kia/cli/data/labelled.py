"""`kia data nih` and `kia data chexpert`: collections with labels and without reports."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kia.cli.data.options import (
    Out,
    Overwrite,
    PartOf,
    Preparation,
    Ratio,
    Resize,
    ResizeMode,
    Seed,
    Size,
    Strict,
    Workers,
    split_record,
    split_source,
)


class Unit(StrEnum):
    """What a random split draws."""

    patient = "patient"
    image = "image"


class BlankChoice(StrEnum):
    """What an empty label means."""

    absent = "absent"
    unknown = "unknown"


Images = Annotated[Path, typer.Option("--images", help="folder of the films")]
Entries = Annotated[Path, typer.Option("--labels", help="Data_Entry_2017.csv")]
Boxes = Annotated[Path | None, typer.Option("--boxes", help="BBox_List_2017.csv")]
TrainList = Annotated[Path | None, typer.Option("--train-list", help="train_val_list.txt")]
TestList = Annotated[Path | None, typer.Option("--test-list", help="test_list.txt")]
SplitBy = Annotated[Unit, typer.Option("--split-by", help="what is kept in one split")]
Blank = Annotated[BlankChoice, typer.Option("--blank", help="what an empty label means")]
Root = Annotated[Path, typer.Argument(metavar="DIR", help="train.csv, valid.csv, the images")]


def nih(
    images: Images,
    labels: Entries,
    out: Out,
    boxes: Boxes = None,
    train_list: TrainList = None,
    test_list: TestList = None,
    ratio: Ratio = "7:1:2",
    seed: Seed = 0,
    split_by: SplitBy = Unit.patient,
    size: Size = 256,
    resize: Resize = ResizeMode.squash,
    part: PartOf = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
) -> None:
    """Prepare films of NIH ChestX-ray14, which have labels and no reports."""
    from kia.data.readers.nih import read_nih
    from kia.data.readers.splits import RandomSplit
    from kia.errors import UsageError

    if (train_list is None) != (test_list is None):
        raise UsageError("--train-list and --test-list belong together")
    lists = None if train_list is None or test_list is None else (train_list, test_list)
    drawn = split_source("random", ratio, seed)
    assert isinstance(drawn, RandomSplit)
    preparation = Preparation(
        out, "NIH ChestX-ray14", size, resize, None, None, part, workers, overwrite, strict=strict
    )
    preparation.run(
        lambda: read_nih(
            images,
            labels,
            boxes=boxes,
            lists=lists,
            split=drawn,
            by_image=split_by is Unit.image,
        ),
        {
            "split": f"{split_record(drawn)}, by {split_by.value}",
            "lists": lists is not None,
            "boxes": boxes is not None,
        },
    )


def chexpert(
    root: Root,
    out: Out,
    blank: Blank = BlankChoice.absent,
    size: Size = 256,
    resize: Resize = ResizeMode.squash,
    part: PartOf = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
) -> None:
    """Prepare CheXpert, which has labels and no reports."""
    from kia.data.readers.chexpert import read_chexpert

    preparation = Preparation(
        out, "CheXpert", size, resize, None, None, part, workers, overwrite, strict=strict
    )
    preparation.run(lambda: read_chexpert(root, blank=blank.value), {"blank": blank.value})
