"""`kia data iu-xray`: IU X-Ray from the files that a user has."""

from collections import Counter
from collections.abc import Iterable
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
    Ratio,
    Resize,
    ResizeMode,
    Seed,
    Size,
    SplitFrom,
    Strict,
    Target,
    Workers,
    split_record,
    split_source,
)

Images = Annotated[
    Path, typer.Option("--images", help="folder of the images, or of R2Gen's CXR…/0.png")
]
Reports = Annotated[
    Path | None,
    typer.Option("--reports", help="indiana_reports.csv, NLMCXR_reports.tgz, or its folder"),
]
Projections = Annotated[
    Path | None, typer.Option("--projections", help="indiana_projections.csv: the views")
]


def iu_xray(
    images: Images,
    out: Out,
    annotation: Annotation = None,
    reports: Reports = None,
    projections: Projections = None,
    split: SplitFrom = None,
    ratio: Ratio = "7:1:2",
    seed: Seed = 0,
    section: Target = None,
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
    """Prepare IU X-Ray, with labels, graphs and landmarks of its reports."""
    from kia.data.deidentify.privacy import Privacy
    from kia.data.readers.inputs import Input, ListedInputs
    from kia.data.readers.iu_xray.studies import (
        chosen_section,
        files_of,
        read_iu_xray,
        require_complete,
    )
    from kia.imaging.workers import Reject
    from kia.studies import Study

    source = split_source(split, ratio, seed)
    target = chosen_section(annotation, reports, source, section.value if section else None)

    def read() -> ListedInputs:
        studies, rejects = read_iu_xray(
            images,
            annotation,
            reports,
            projections,
            split=source,
            section=target,
            id_column=id_column,
            complete=not incomplete,
        )
        files = files_of(annotation, reports, projections, source)
        items: list[Study | Reject] = [*rejects, *studies]
        return ListedInputs([[item] for item in items], files)

    def check(counts: Counter[str], lost: list[Reject], inputs: Iterable[Input]) -> None:
        if not incomplete:
            read = (item for items in inputs for item in items if isinstance(item, Study))
            require_complete(counts, lost, Counter(study.split for study in read))

    preparation = Preparation(
        out, "IU X-Ray", size, resize, labels, graphs, part, workers, overwrite, target, strict,
        label_reports or _table(reports), named={"id": id_column},
    )  # fmt: skip
    privacy = Privacy.chosen(deidentify, deidentify_key, out)
    preparation.run(read, {"split": split_record(source)}, check, privacy)


def _table(reports: Path | None) -> Path | None:
    """Kaggle's table, which labels without ids may have been made from; Open-i's XML is none."""
    return reports if reports is not None and reports.suffix.lower() == ".csv" else None
