"""`kia findings`: probabilities of the 14 observations, from Label-MLM."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.image_input import (
    Data,
    Images,
    SplitOf,
    StudyViews,
    check_source,
    given_studies,
    split_studies,
    warn_of,
)
from kia.cli.trained import Model, open_model
from kia.errors import UsageError
from kia.studies import Study

if TYPE_CHECKING:
    import numpy as np

    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor


def findings(
    model: Model,
    images: Images = None,
    study: StudyViews = None,
    data: Data = None,
    split: SplitOf = "test",
    out: Annotated[
        Path | None, typer.Option("--out", help="write the probabilities (CSV), with --data")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="write the reliability plot (PNG), with --data")
    ] = None,
    json_file: console.NumbersFile = None,
) -> None:
    """Give the probability of each observation. Research only; not for clinical use."""
    studies = given_studies(images, study)
    check_source(studies, data, split)
    if (out or plot) and not data:
        raise UsageError("--out and --plot go with --data")
    if plot:
        console.check_picture(plot, "--plot")
    from kia.explain.findings import check_answers

    loaded, processor = open_model(model)
    check_answers(loaded)
    if data:
        _data_set(loaded, processor, data, split, out, plot, json_file)
    else:
        _images(loaded, processor, studies, json_file)


def _images(
    model: "KIAModel",
    processor: "KIAProcessor",
    studies: list[Study],
    json_file: Path | None,
) -> None:
    from kia.agreement import label_probabilities
    from kia.generation import study_inputs
    from kia.knowledge.chexpert import OBSERVATIONS
    from kia.reporting.reading import read_all

    pictures = read_all(studies, processor)
    written: list[dict[str, Any]] = []
    for one in pictures:
        inputs = study_inputs(processor, [one.squares], [one.views])
        values = label_probabilities(model, processor, inputs)[0].tolist()
        found = dict(zip(OBSERVATIONS, values, strict=True))
        written.append(one.to_record() | {"findings": found})
        warn_of(one.flags, one.names)
        title = ", ".join(one.names)
        console.table(["observation", "probability"], found.items(), title=title)
    if json_file:
        console.write_json(json_file, written)


def _data_set(
    model: "KIAModel",
    processor: "KIAProcessor",
    data: Path,
    split: str,
    out: Path | None,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.clinical.probabilities import score_findings
    from kia.explain.findings import dataset_findings, draw_reliability
    from kia.tables.notes import note

    dataset = PreparedDataset.open(data)
    numbers = split_studies(dataset, split)
    with console.progress() as bar:
        task = bar.add_task("findings", total=len(numbers))
        found = dataset_findings(
            model, processor, dataset, numbers, lambda count: bar.advance(task, count)
        )
    labels = [dataset.study(int(number)).labels for number in numbers]
    known = [row for row, label in enumerate(labels) if label is not None]
    if not known:
        note(f"no {split} study of {data} has labels: nothing to score them by")
    scores = score_findings(found[known], [labels[row] or {} for row in known])
    columns = ("studies", "present", "auroc", "average_precision", "calibration_error")
    rows = [[name, *map(one.get, columns)] for name, one in scores["observations"].items()]
    rows.append(["mean", None, None, *map(scores["macro"].get, columns[2:])])
    words = [column.replace("_", " ").replace("auroc", "AUROC") for column in columns]
    console.table(
        ["observation", *words], rows, title=f"{len(known)} labelled {split} studies of {data}"
    )
    if out:
        _write_csv(out, dataset.ids(split), found)  # type: ignore[arg-type]
    if plot:
        plot.parent.mkdir(parents=True, exist_ok=True)
        draw_reliability(scores, plot)
        console.out.print(f"wrote {plot}")
    if json_file:
        console.write_json(json_file, scores)


def _write_csv(path: Path, ids: list[str], found: "np.ndarray") -> None:
    from kia.knowledge.chexpert import OBSERVATIONS

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *OBSERVATIONS])
        for id, row in zip(ids, found.tolist(), strict=True):
            writer.writerow([id, *(f"{value:.4f}" for value in row)])
