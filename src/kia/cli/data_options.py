"""What the commands that prepare a data set share: their options, and the way to the disk."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.errors import UsageError

if TYPE_CHECKING:
    from kia.data.prepare import Reject
    from kia.data.splits import RandomSplit
    from kia.data.store import DatasetWriter, PreparedDataset
    from kia.studies import Study


class ResizeMode(StrEnum):
    """How images become square."""

    squash = "squash"
    pad = "pad"


class SectionChoice(StrEnum):
    """The target text."""

    findings = "findings"
    impression = "impression"
    both = "both"
    report = "report"


Out = Annotated[Path, typer.Option("--out", help="folder of the new data set")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the data set in --out")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="threads or processes; one a processor")
]
Size = Annotated[int, typer.Option("--size", min=32, max=2048, help="pixels a side")]
Resize = Annotated[
    ResizeMode, typer.Option("--resize", help="squash to a square, or pad with black")
]
Target = Annotated[
    SectionChoice | None,
    typer.Option("--section", help="target text; the annotation's own, else the findings"),
]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="accept other counts than the published ones")
]
Labels = Annotated[Path | None, typer.Option("--labels", help="CheXpert labels (CSV) by study id")]
Graphs = Annotated[Path | None, typer.Option("--graphs", help="RadGraph graphs (JSON) by study id")]
SplitFrom = Annotated[
    str | None,
    typer.Option("--split", metavar="FILE|random", help="a file with id and split, or a draw"),
]
Ratio = Annotated[
    str, typer.Option("--ratio", metavar="T:V:T", help="train, val, test of a random split")
]
Seed = Annotated[int, typer.Option("--seed", help="another seed, another random split")]


def split_source(split: str | None, ratio: str, seed: int) -> "Path | RandomSplit | None":
    """What --split, --ratio and --seed mean."""
    from kia.data.splits import RandomSplit

    if split != "random":
        return None if split is None else Path(split)
    try:
        train, val, test = (float(part) for part in ratio.split(":"))
    except ValueError:
        raise UsageError(f"--ratio {ratio}: three numbers are needed, as in 7:1:2") from None
    if not (min(train, val, test) >= 0 and 0 < train + val + test < float("inf")):
        raise UsageError(f"--ratio {ratio}: the numbers are relative sizes, none below 0")
    return RandomSplit(seed, (train, val, test))


def store(
    writer: "DatasetWriter",
    studies: "Iterable[Study | Reject]",
    total: int,
    *,
    ids: Iterable[str],
    labels: Path | None = None,
    graphs: Path | None = None,
    resize: ResizeMode = ResizeMode.squash,
    workers: int | None = None,
    check: "Callable[[list[Reject]], None]" = lambda lost: None,
) -> "PreparedDataset":
    """Decodes, annotates and stores studies with a progress bar; prints the counts.

    Args:
        writer: Of the new data set; entered and left here.
        studies: In order; rejects among them are recorded.
        total: How many studies and rejects there are.
        ids: Of all studies, to compare the files of labels and graphs with.
        labels: File of labels; built-in if None.
        graphs: File of graphs; built-in if None.
        resize: How images become square.
        workers: Threads; None for one a processor.
        check: Called at the end with the studies that no image is left of; may raise.
    """
    from kia.cli.console import progress
    from kia.data.annotate import annotated, imported
    from kia.data.prepare import Reject, write_studies
    from kia.data.store import PreparedDataset

    with writer, progress() as bar:
        task = bar.add_task("studies", total=total)
        knowledge = imported(ids, labels, graphs)

        def kept() -> "Iterable[Study]":
            for item in studies:
                if isinstance(item, Reject):
                    writer.reject(item.what, item.why)
                    bar.advance(task)
                else:
                    yield item

        lost = write_studies(
            writer,
            annotated(kept(), *knowledge),
            resize=resize.value,
            workers=workers,
            advance=lambda: bar.advance(task),
        )
        check(lost)
    dataset = PreparedDataset.open(writer.out)
    print_counts(dataset)
    return dataset


def print_counts(dataset: "PreparedDataset") -> None:
    """Studies by split, images by view, and how many inputs were left out."""
    from kia.cli.console import out, table

    info = dataset.info
    table(["split", "studies"], info["counts"].items())
    views = ", ".join(f"{count:,} {view}" for view, count in info["images"].items())
    out.print(f"{views} images of {info['image_size']} × {info['image_size']} pixels")
    rejects = f"{info['rejects']} inputs were left out"
    out.print(f"{rejects}: see {dataset.path / 'rejects.jsonl'}" if info["rejects"] else rejects)
