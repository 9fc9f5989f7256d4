"""`kia data manifest`: any collection, described by a table, an annotation.json or a folder."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli.data.options import (
    Graphs,
    Labels,
    Out,
    Overwrite,
    PartOf,
    Preparation,
    Ratio,
    Resize,
    ResizeMode,
    Seed,
    Size,
    SplitFrom,
    Strict,
    Workers,
    split_record,
    split_source,
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
    part: PartOf = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
) -> None:
    """Prepare any collection; without reports it serves generation alone."""
    from kia.cli.image_input import looking
    from kia.data.readers.folder import read_folder
    from kia.data.readers.inputs import Inputs
    from kia.data.readers.manifest import Manifest

    def read() -> Inputs:
        if not file.is_dir():
            return Manifest(file, roots=root or (), split=source)
        with looking() as on_progress:
            return read_folder(file, on_progress)

    source = split_source(split, ratio, seed)
    preparation = Preparation(
        out, file.name, size, resize, labels, graphs, part, workers, overwrite, strict=strict
    )
    preparation.run(read, {"split": split_record(source)})
