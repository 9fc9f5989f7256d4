"""`kia data iu-xray`: IU X-Ray from the files that a user has."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli.data_options import (
    Graphs,
    Incomplete,
    Labels,
    Out,
    Overwrite,
    Ratio,
    Resize,
    ResizeMode,
    Seed,
    Size,
    SplitFrom,
    Target,
    Workers,
    split_source,
    store,
)

if TYPE_CHECKING:
    from kia.data.prepare import Reject


def iu_xray(
    images: Annotated[
        Path, typer.Option("--images", help="folder of the images, or of R2Gen's CXR…/0.png")
    ],
    out: Out,
    annotation: Annotated[
        Path | None, typer.Option("--annotation", help="R2Gen's annotation.json")
    ] = None,
    reports: Annotated[
        Path | None,
        typer.Option("--reports", help="indiana_reports.csv, NLMCXR_reports.tgz, or its folder"),
    ] = None,
    projections: Annotated[
        Path | None, typer.Option("--projections", help="indiana_projections.csv: the views")
    ] = None,
    split: SplitFrom = None,
    ratio: Ratio = "7:1:2",
    seed: Seed = 0,
    section: Target = None,
    size: Size = 256,
    resize: Resize = ResizeMode.squash,
    incomplete: Incomplete = False,
    labels: Labels = None,
    graphs: Graphs = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Prepare IU X-Ray, with labels, graphs and landmarks of its reports."""
    from kia.data.iu_xray import chosen_section, read_iu_xray, require_complete
    from kia.data.store import DatasetWriter

    source = split_source(split, ratio, seed)
    target = chosen_section(annotation, reports, source, section.value if section else None)
    writer = DatasetWriter(
        out,
        image_size=size,
        source="IU X-Ray",
        section=target,
        resize=resize.value,
        overwrite=overwrite,
    )
    found, rejects = read_iu_xray(
        images,
        annotation,
        reports,
        projections,
        split=source,
        section=target,
        complete=not incomplete,
    )

    def check(lost: "list[Reject]") -> None:
        if not incomplete:
            require_complete(writer.counts, lost, Counter(study.split for study in found))

    store(
        writer,
        [*rejects, *found],
        len(rejects) + len(found),
        ids=[study.id for study in found],
        labels=labels,
        graphs=graphs,
        resize=resize,
        workers=workers,
        check=check,
    )
