"""`kia data manifest`: any collection, described by a table, an annotation.json or a folder."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli.data_options import (
    Graphs,
    Labels,
    Out,
    Overwrite,
    Ratio,
    Resize,
    ResizeMode,
    Seed,
    Size,
    SplitFrom,
    Workers,
    split_source,
    store,
)


def manifest(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="a .csv, .jsonl or .parquet with id, image and, if known, view, report, split, "
            "labels, patient; an annotation.json; or a folder of images",
        ),
    ],
    out: Out,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", help="a folder elsewhere in which images may lie; repeatable"),
    ] = None,
    split: SplitFrom = None,
    ratio: Ratio = "7:1:2",
    seed: Seed = 0,
    size: Size = 256,
    resize: Resize = ResizeMode.squash,
    labels: Labels = None,
    graphs: Graphs = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Prepare any collection; without reports it serves generation alone."""
    from kia.data.manifest import Manifest
    from kia.data.store import DatasetWriter

    writer = DatasetWriter(
        out, image_size=size, source=file.name, resize=resize.value, overwrite=overwrite
    )
    studies = Manifest(file, roots=root or (), split=split_source(split, ratio, seed))
    store(
        writer,
        studies,
        len(studies),
        ids=studies.ids,
        labels=labels,
        graphs=graphs,
        resize=resize,
        workers=workers,
    )
