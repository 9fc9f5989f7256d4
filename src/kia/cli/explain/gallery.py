"""`kia explain gallery`: every figure for some studies, as one web page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from kia.cli import console
from kia.cli.columns import IdColumn, ReportColumn
from kia.cli.explain.compare import named_files
from kia.cli.image_input import DataSet, SplitOf, check_split, split_studies
from kia.cli.trained import Model, open_model
from kia.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.data.store.dataset import PreparedDataset
    from kia.studies import Split

OURS = "this model"

Count = Annotated[int, typer.Option(min=1, help="studies, at equal distances over the split")]
StudyIds = Annotated[list[str] | None, typer.Option("--id", help="this study instead; repeatable")]
Reports = Annotated[
    list[str] | None,
    typer.Option("--reports", metavar="[NAME=]FILE", help="another system's reports; repeatable"),
]
Page = Annotated[Path, typer.Option("--out", help="the page to write")]


def gallery(
    model: Model,
    data: DataSet,
    split: SplitOf = "test",
    count: Count = 12,
    study_id: StudyIds = None,
    reports: Reports = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    file: Page = Path("gallery.html"),
) -> None:
    """Write one page with all figures for a dozen studies. It holds images and reports."""
    check_split(split)
    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {file}: use a name that ends in .html")
    from kia.errors import require
    from kia.evaluation.predictions import read_reports_for
    from kia.evaluation.reports.columns import Choice

    require("matplotlib.figure", "plots", "drawing figures")
    files = named_files(reports or ())
    from kia.candidates import chosen_reports
    from kia.data.store.dataset import PreparedDataset
    from kia.explain.gallery.page import gallery_page
    from kia.explain.retrieval.index import open_index
    from kia.generation import check_image_size, generation_settings, write_dataset_reports

    loaded, processor = open_model(model)
    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    studies = _studies(dataset, split, count, study_id)
    ids = dataset.ids(cast("Split", split))
    choice = Choice(id_column, report_column)
    systems = {name: read_reports_for(path, ids, choice) for name, path in files.items()}
    contrast = loaded.trained_on("irc")
    with console.progress() as bar:
        task = bar.add_task("gallery", total=2 * len(studies))

        def advance(done: int) -> None:
            bar.advance(task, done)

        written = write_dataset_reports(
            *(loaded, processor, dataset, studies, generation_settings(loaded), advance),
            chosen_reports,
        )
        texts = dict(written)
        found = {OURS: list(texts.values())}
        for name, theirs in systems.items():
            found[name] = [theirs.get(id, "") for id in texts]
        study = (loaded, processor, dataset, cast("Split", split))
        index = open_index(model, *study) if contrast else None
        shown = gallery_page(
            *(loaded, processor, dataset, studies, found, index),
            title=f"Gallery of {model}",
            on_progress=advance,
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(shown, encoding="utf-8")
    console.out.print(f"wrote {file}: {file.stat().st_size / 1e6:.1f} MB, images and reports in it")


def _studies(
    dataset: "PreparedDataset", split: str, count: int, ids: list[str] | None
) -> "NDArray[np.int64]":
    import numpy as np

    from kia.explain.gallery.page import spread_studies

    whole = split_studies(dataset, split)
    if not ids:
        return spread_studies(dataset, split, count)
    numbers = [dataset.index_of(id) for id in ids]
    for id, number in zip(ids, numbers, strict=True):
        if number not in whole:
            raise DataError(f"--id {id}: is no {split} study; name its --split")
    return np.array(numbers)
