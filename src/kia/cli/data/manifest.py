"""`kia data manifest`: any collection, described by a table, an annotation.json or a folder."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli.data.options import (
    Deidentify,
    DeidentifyKey,
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
    deidentify: Deidentify = False,
    deidentify_key: DeidentifyKey = None,
) -> None:
    """Prepare any collection; without reports it serves generation alone."""
    from kia.data.deidentify.privacy import Privacy
    from kia.data.readers.manifest import Manifest

    source = split_source(split, ratio, seed)
    privacy = Privacy.chosen(deidentify, deidentify_key, out)
    name = "manifest" if deidentify else file.name  # a file may be called after a patient
    preparation = Preparation(
        out, name, size, resize, labels, graphs, part, workers, overwrite, strict=strict
    )
    preparation.run(
        lambda: Manifest(file, roots=root or (), split=source),
        {"split": split_record(source)},
        privacy=privacy,
    )
