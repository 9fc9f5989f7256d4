"""`kia data mimic-cxr`: MIMIC-CXR-JPG as PhysioNet lays it out."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kia.cli.columns import IdColumn
from kia.cli.data.options import (
    Annotation,
    Deidentify,
    DeidentifyKey,
    Graphs,
    Incomplete,
    LabelReports,
    Labels,
    Out,
    Overwrite,
    PartOf,
    Preparation,
    Resize,
    ResizeMode,
    Size,
    Strict,
    Target,
    Workers,
)


class SampleChoice(StrEnum):
    """What a sample is."""

    image = "image"
    study = "study"


class ViewChoice(StrEnum):
    """Which images to take."""

    all = "all"
    frontal = "frontal"
    lateral = "lateral"


class SectionRules(StrEnum):
    """Whose rules split a report into sections."""

    kia = "kia"
    authors = "authors"


Root = Annotated[
    Path, typer.Argument(metavar="DIR", help="MIMIC-CXR-JPG: files/p10 … and the tables")
]
Reports = Annotated[
    Path | None,
    typer.Option("--reports", help="folder with files/p10/p10000032/s50414267.txt, else DIR"),
]
Sectioned = Annotated[
    Path | None, typer.Option("--sectioned", help="mimic_cxr_sectioned.csv, for the .txt")
]
Sections = Annotated[
    SectionRules,
    typer.Option("--sections", help="split reports by kia's rules, or as the authors' code does"),
]
Samples = Annotated[
    SampleChoice, typer.Option("--samples", help="an image (as R2Gen) or a study a sample")
]
Views = Annotated[ViewChoice, typer.Option("--views", help="the images to take")]


def mimic_cxr(
    root: Root,
    out: Out,
    reports: Reports = None,
    annotation: Annotation = None,
    sectioned: Sectioned = None,
    samples: Samples = SampleChoice.image,
    views: Views = ViewChoice.all,
    section: Target = None,
    sections: Sections = SectionRules.kia,
    size: Size = 256,
    resize: Resize = ResizeMode.squash,
    incomplete: Incomplete = False,
    labels: Labels = None,
    graphs: Graphs = None,
    label_reports: LabelReports = None,
    id_column: IdColumn = None,
    part: PartOf = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    strict: Strict = False,
    deidentify: Deidentify = False,
    deidentify_key: DeidentifyKey = None,
) -> None:
    """Prepare MIMIC-CXR-JPG in its official splits, with the labels it comes with."""
    from kia.data.deidentify.privacy import Privacy
    from kia.data.readers.mimic_cxr.studies import MIMICCXR
    from kia.data.reports import default_section

    target = section.value if section else default_section(annotation)
    preparation = Preparation(
        out, "MIMIC-CXR-JPG", size, resize, labels, graphs, part, workers, overwrite, target,
        strict, label_reports, named={"id": id_column},
    )  # fmt: skip
    preparation.run(
        lambda: MIMICCXR(
            root,
            reports=reports,
            annotation=annotation,
            sectioned=sectioned,
            samples=samples.value,
            views=views.value,
            section=target,
            sections=sections.value,
            own_labels=labels is None,
            complete=not incomplete,
        ),
        {
            "samples": samples.value,
            "views": views.value,
            "annotation": annotation is not None,
            "sections": sections.value,
        },
        privacy=Privacy.chosen(deidentify, deidentify_key, out),
    )
