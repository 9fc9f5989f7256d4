"""`kia data manifest`: any collection, described by a table, an annotation.json or a folder."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli.columns import IdColumn, ReportColumn
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
from kia.errors import UsageError

ReportsOfLabels = Annotated[
    Path | None,
    typer.Option(
        "--label-reports",
        "--reports",
        help="table with ids that --labels or --graphs without ids was made from",
    ),
]


def manifest(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="a table (.csv, .tsv, .xlsx, .jsonl, .parquet) with id, image and, if known, "
            "view, report, split, labels, patient; an annotation.json; or a folder of images",
        ),
    ],
    out: Out,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", help="a folder elsewhere in which images may lie; repeatable"),
    ] = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    split: SplitFrom = None,
    ratio: Ratio = "7:1:2",
    seed: Seed = 0,
    size: Size = 256,
    resize: Resize = ResizeMode.squash,
    labels: Labels = None,
    graphs: Graphs = None,
    label_reports: ReportsOfLabels = None,
    metadata: Annotated[
        Path | None,
        typer.Option("--metadata", help="MIMIC-CXR's table of dicom_ids, if ids here are these"),
    ] = None,
    part: PartOf = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    deidentify: Deidentify = False,
    deidentify_key: DeidentifyKey = None,
) -> None:
    """Prepare any collection; without reports it serves generation alone."""
    from kia.cli.image_input import looking
    from kia.data.deidentify.privacy import Privacy
    from kia.data.readers.folder import read_folder
    from kia.data.readers.inputs import Inputs
    from kia.data.readers.manifest import Manifest

    def read() -> Inputs:
        if not file.is_dir():
            return Manifest(file, roots=root or (), split=source, **named)
        for option, column in named.items():
            if column is not None:
                name = option.replace("_", "-")
                raise UsageError(f"--{name} {column}: {file} is a folder of images, no table")
        with looking() as on_progress:
            return read_folder(file, root or (), on_progress)

    named = {"id_column": id_column, "report_column": report_column}
    source = split_source(split, ratio, seed)
    privacy = Privacy.chosen(deidentify, deidentify_key, out)
    name = "manifest" if deidentify else file.name  # a file may be called after a patient
    preparation = Preparation(
        out,
        name,
        size,
        resize,
        labels,
        graphs,
        part,
        workers,
        overwrite,
        strict=strict,
        label_reports=label_reports,
        metadata=metadata,
        named={"id": id_column, "report": report_column},
    )
    preparation.run(
        read,
        {"split": split_record(source), **{key: value for key, value in named.items() if value}},
        privacy=privacy,
    )
