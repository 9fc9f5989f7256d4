"""`kia explain match`: matching degrees of reference and generated report (Paper: Fig. 12)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.columns import IdColumn, ReportColumn
from kia.cli.image_input import Data, SplitOf, check_split, split_studies
from kia.cli.trained import Model, open_model
from kia.errors import DataError, UsageError
from kia.tables.reports import read_one_report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.reports.columns import Choice
    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor

GENERATED = "generated"


def match(
    model: Model,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="the views of one study: by their DICOM headers, else frontal, lateral"
        ),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report",
            metavar="FILE|generated",
            help="a report of that study, or the model's own; repeatable",
        ),
    ] = None,
    data: Data = None,
    split: SplitOf = "test",
    predictions: Annotated[
        Path | None,
        typer.Option(help="reports by study id, with --data; the model writes them if absent"),
    ] = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    show: Annotated[
        int, typer.Option(min=0, help="studies listed, largest preference for the reference first")
    ] = 10,
    texts: Annotated[
        bool, typer.Option("--texts", help="write the reports into the JSON too, not ids alone")
    ] = False,
    file: Annotated[
        Path | None, typer.Option("--out", help="draw the degrees of all studies, a PNG")
    ] = None,
    json_file: console.NumbersFile = None,
) -> None:
    """Say how well reports fit an image, by [MATCH] (Figure 12).

    Over a split: how often the model prefers the reference to the generated report.
    """
    _check(images, report, data, split, [predictions, file], texts)
    if file:
        console.check_picture(file)
    given = [(name, _text(name)) for name in report or ()]

    loaded, processor = open_model(model)
    if images:
        _one_study(loaded, processor, images, given, json_file)
        return
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.reports.columns import Choice

    assert data is not None
    dataset = PreparedDataset.open(data)
    studies = split_studies(dataset, split)
    choice = Choice(id_column, report_column)
    written = _written(loaded, processor, dataset, studies, predictions, choice)
    _numbers(loaded, processor, dataset, studies, written, split, show, texts, file, json_file)


def _check(
    images: list[Path] | None,
    report: list[str] | None,
    data: Path | None,
    split: str,
    with_data: list[Path | None],
    texts: bool,
) -> None:
    if bool(images) == bool(data):
        raise UsageError("name the images of one study, or a data set with --data, and not both")
    if bool(images) != bool(report):
        raise UsageError("--report FILE goes with images, which need at least one")
    if images and (any(with_data) or texts):
        raise UsageError("--predictions, --out and --texts go with --data")
    check_split(split)


def _text(name: str) -> str | None:
    return None if name == GENERATED else read_one_report(Path(name))


def _one_study(
    model: "KIAModel",
    processor: "KIAProcessor",
    images: list[Path],
    given: list[tuple[str, str | None]],
    json_file: Path | None,
) -> None:
    from kia.candidates import chosen_reports
    from kia.generation import generation_settings, image_features
    from kia.matching import matching_degree

    encoded = image_features(model, dict(processor(images)))
    texts = []
    for _, text in given:
        if text is None:  # as `kia generate` shows it
            settings = generation_settings(model)
            written = chosen_reports(model, processor, encoded, settings, whole_sentences=True)
            text = written[0]
        texts.append(text)
    degrees = matching_degree(model, processor, encoded, texts, [0] * len(texts)).tolist()
    rows = [[name, degree] for (name, _), degree in zip(given, degrees, strict=True)]
    console.table(["report", "matching degree"], rows)
    if json_file:
        console.write_json(json_file, [{"report": name, "match": value} for name, value in rows])


def _written(
    model: "KIAModel",
    processor: "KIAProcessor",
    dataset: "PreparedDataset",
    studies: "NDArray[np.int64]",
    predictions: Path | None,
    choice: "Choice",
) -> list[str]:
    if predictions:
        from kia.evaluation.predictions import read_reports_for

        ids = [dataset.study(int(study)).id for study in studies]
        found = read_reports_for(predictions, ids, choice)
        if missing := [id for id in ids if id not in found]:
            raise DataError(
                f"{predictions} lacks {len(missing)} of the {len(ids)} studies, such as "
                f"{missing[0]}; is it of this split?"
            )
        return [found[id] for id in ids]
    from kia.candidates import chosen_reports
    from kia.generation import generation_settings, write_dataset_reports

    settings = generation_settings(model)
    with console.progress() as bar:
        task = bar.add_task("reports", total=len(studies))
        written = write_dataset_reports(
            model, processor, dataset, studies, settings, lambda n: bar.advance(task, n),
            chosen_reports,
        )  # fmt: skip
        return [text for _, text in written]


def _numbers(
    model: "KIAModel",
    processor: "KIAProcessor",
    dataset: "PreparedDataset",
    studies: "NDArray[np.int64]",
    written: list[str],
    split: str,
    show: int,
    texts: bool,
    file: Path | None,
    json_file: Path | None,
) -> None:
    from kia.explain.match import SHARES, draw_degrees, match_degrees, match_scores
    from kia.explain.words import other_studies

    others = other_studies(dataset, studies)
    with console.progress() as bar:
        task = bar.add_task("[MATCH]", total=len(studies))
        degrees = match_degrees(
            *(model, processor, dataset, studies, others, written),
            lambda n: bar.advance(task, n),
        )
    scores = match_scores(degrees)
    rows = [
        [SHARES[name], one["share"], "{:.3f} to {:.3f}".format(*one["interval"])]
        for name, one in scores["share"].items()
    ]
    console.table(
        ["", "share of studies", "95 % interval"],
        rows,
        title=f"matching degree, {len(studies)} {split} studies of {dataset.path}",
    )
    each = _each(dataset, studies, written, degrees, texts)
    preferred = [one for one in each if one["reference"] > one["generated"]]
    preferred.sort(key=lambda one: one["generated"] - one["reference"])
    if preferred and show:
        listed = [[one["id"], one["reference"], one["generated"]] for one in preferred[:show]]
        title = f"reference preferred most, of {len(preferred)}"
        console.table(["study", "reference", "generated"], listed, title=title)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        draw_degrees(degrees, file)
        console.out.print(f"wrote {file}")
    if json_file:
        found = {"split": split, "data": dataset.info["content_hash"], **scores, "each": each}
        found["prefers_reference"] = [one["id"] for one in preferred]
        console.write_json(json_file, found)


def _each(
    dataset: "PreparedDataset",
    studies: "NDArray[np.int64]",
    written: list[str],
    degrees: "NDArray[np.float64]",
    texts: bool,
) -> list[dict[str, Any]]:
    from kia.explain.match import PAIRS

    found = []
    for number, said, row in zip(studies, written, degrees.tolist(), strict=True):
        study = dataset.study(int(number))
        one: dict[str, Any] = {"id": study.id, **dict(zip(PAIRS, row, strict=True))}
        if texts:
            one |= {"reference_report": study.report, "generated_report": said}
        found.append(one)
    return found
