"""`kia evaluate`: the scoreboard of files of reports, from kia or any other system."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kia.cli.columns import IdColumn, ReferenceColumn, ReportColumn
from kia.errors import UsageError
from kia.studies import SPLITS

if TYPE_CHECKING:
    from kia.evaluation.board.rendering import Page
    from kia.evaluation.board.systems import Labeler
    from kia.evaluation.evaluate import Outcome
    from kia.evaluation.language.protocols import DatasetStyle
    from kia.processing import KIAProcessor
    from kia.studies import Split

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="write the result as JSON")
]
MarkdownFile = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE", help="write it as Markdown")
]
LatexFile = Annotated[
    Path | None, typer.Option("--latex", metavar="FILE", help="write it as LaTeX tables")
]
Cleaning = Annotated[
    str | None,
    typer.Option(metavar="iu|mimic", help="cleaning and cut; by the source of --data if absent"),
]


Predictions = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[PREDS]...",
        help="reports to score: JSON lines, .json, .csv, .xlsx or .txt; several files are runs of "
        "one system; with --localisation a run or model folder",
    ),
]
Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        metavar="NAME=FILE[,FILE]...",
        help="a system and its reports, instead of PREDS; several systems are rows of one table, "
        "several files the runs of a system",
    ),
]
Rexrank = Annotated[
    bool, typer.Option("--rexrank", help="the rows of the leaderboard ReXrank beside these")
]
ReferenceData = Annotated[Path | None, typer.Option(help="prepared data set with the references")]
ReferenceFile = Annotated[Path | None, typer.Option(help="file of references, instead of --data")]
TrainReferences = Annotated[
    Path | None, typer.Option(help="file of training reports, to go with --references")
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAME",
        help="reports of another system, or one of --system: paired differences, p-values",
    ),
]
Columns = Annotated[
    str | None, typer.Option(metavar="COLUMNS", help="split the results: view,sex,age")
]
Labels = Annotated[
    Path | None, typer.Option(help="CSV of labels of the reports, instead of the labeler")
]
ReferenceLabels = Annotated[Path | None, typer.Option(help="CSV of labels of the references")]
Graphs = Annotated[Path | None, typer.Option(help="RadGraph's JSON of the reports: RadGraph-F1")]
ReferenceGraphs = Annotated[
    Path | None, typer.Option(help="RadGraph's JSON of the references, with --graphs")
]
LabelReports = Annotated[
    Path | None,
    typer.Option(
        "--label-reports", "--reports",
        help="table that labels or graphs without ids were made from, if not PREDS",
    ),
]  # fmt: skip
Metadata = Annotated[
    Path | None,
    typer.Option(help="MIMIC-CXR's table of dicom_ids, to join them to ids of studies"),
]
Tools = Annotated[
    str | None,
    typer.Option("--with", metavar="TOOLS", help="also score by radgraph,chexbert,radeval"),
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="score the studies that all sides have")
]
ByOrgan = Annotated[bool, typer.Option("--by-organ", help="score what is said of each organ, too")]
Localisation = Annotated[
    str | None,
    typer.Option(
        metavar="BOXES.csv|phantom",
        help="score where a model looks: boxes or masks of findings, or phantoms of --data",
    ),
]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="write a page: tables, and all studies to compare"),
]
Resamples = Annotated[int, typer.Option(min=100, help="resamples of intervals and p-values")]
Seed = Annotated[int, typer.Option(min=0, help="seed of intervals and p-values")]


def evaluate(
    predictions: Predictions = None,
    system: Systems = None,
    data: ReferenceData = None,
    split: Annotated[str, typer.Option(help="split of the data set")] = "test",
    references: ReferenceFile = None,
    train_references: TrainReferences = None,
    against: Against = None,
    by: Columns = None,
    labels: Labels = None,
    reference_labels: ReferenceLabels = None,
    graphs: Graphs = None,
    reference_graphs: ReferenceGraphs = None,
    label_reports: LabelReports = None,
    metadata: Metadata = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    reference_column: ReferenceColumn = None,
    with_: Tools = None,
    rexrank: Rexrank = False,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="MODEL|record",
            help="also score the references as the word pieces of this model give them back; "
            "record: of the model in PREDS.run.json",
        ),
    ] = None,
    by_organ: ByOrgan = False,
    allow_missing: AllowMissing = False,
    localisation: Localisation = None,
    json_file: JsonFile = None,
    markdown_file: MarkdownFile = None,
    latex_file: LatexFile = None,
    html_file: HtmlFile = None,
    dataset: Cleaning = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
) -> None:
    """Score reports: four protocols, clinical efficacy, errors, graphs, baselines, intervals."""
    systems = _systems(system or [])
    reports = _predictions(predictions or [], systems)
    if localisation is not None:
        others = [references, train_references, against, labels, reference_labels, graphs]
        others += [reference_graphs, markdown_file, latex_file, html_file, label_reports, metadata]
        others += [by, with_, id_column, report_column, reference_column]
        flags = allow_missing or rexrank or by_organ
        if len(reports) != 1 or flags or any(others):
            raise UsageError("--localisation takes one model, --data, --split and --json alone")
        _check_split(split)
        check_files(json=json_file)
        from kia.cli.evaluate.localisation import evaluate_localisation as evaluate_it

        model = str(reports[0])
        evaluate_it(model, localisation, data, split, json_file, resamples=resamples, seed=seed)
        return
    from kia.cli.console import err, out
    from kia.evaluation.board.entries import Settings
    from kia.evaluation.board.rendering import render, scoreboard_page
    from kia.evaluation.evaluate import Setup, score
    from kia.evaluation.reports.columns import Choice
    from kia.evaluation.tools import usable_tools

    _check_options(data, split, references, train_references, dataset)
    check_files(json=json_file, markdown=markdown_file, latex=latex_file, html=html_file)
    _check_one_system(reports, labels=labels, graphs=graphs)
    setup = Setup(
        reports,
        references,
        data,
        cast("Split", split),
        train_references,
        against,
        _listed(by),
        labels,
        reference_labels,
        graphs,
        reference_graphs,
        label_reports,
        metadata,
        Choice(id_column, report_column, reference_column),
        cast("DatasetStyle | None", dataset),
        Settings(allow_missing=allow_missing, resamples=resamples, seed=seed, by_organ=by_organ),
        usable_tools(_listed(with_)),
        _chexbert,
        systems,
        rexrank,
    )
    processor = None if tokenizer is None else _processor(tokenizer, reports)
    with err.status("Scoring reports…"):
        outcome = score(setup)
        if processor is not None:
            outcome.result["ceilings"] = _ceilings(processor, outcome)
    page = scoreboard_page(outcome.result)
    write_page(page, outcome.result, json_file, markdown_file, latex_file)
    if html_file is not None:
        _write_html(html_file, outcome, data)
    out.print(render(page))
    if processor is not None:
        _print_ceilings(outcome.result["ceilings"])
    if "phantom_findings" in outcome.result:
        _print_findings(outcome.result["phantom_findings"])


def _processor(model: str, reports: Sequence[Path]) -> "KIAProcessor":
    from kia.generation import model_folder
    from kia.predictions import recorded_model
    from kia.processing import KIAProcessor

    if model == "record":
        if len(reports) != 1:
            raise UsageError("--tokenizer record reads the record of one file of predictions")
        model = recorded_model(reports[0])
    return KIAProcessor.from_pretrained(model_folder(model))


def _ceilings(processor: "KIAProcessor", outcome: "Outcome") -> dict[str, Any]:
    from kia.ceilings import ceilings

    references = outcome.evaluation.references
    texts = [references.reports[id] for id in outcome.evaluation.ids]
    return ceilings(processor, texts, references.train, dataset=references.dataset)


def _print_ceilings(found: dict[str, Any]) -> None:
    from kia.cli.console import table
    from kia.evaluation.language.scores import METRICS

    rows = [
        [name.replace("_", " "), protocol, *map(scores.get, METRICS)]
        for name, protocols in found.items()
        for protocol, scores in protocols.items()
    ]
    names = [name.replace("_", "-").upper() for name in METRICS]
    table(["references", "protocol", *names], rows, title="the most that scores can reach")


def _predictions(predictions: Sequence[Path], systems: dict[str, list[Path]]) -> Sequence[Path]:
    if predictions and systems:
        raise UsageError("name the reports as PREDS or by --system NAME=FILE, not both")
    if not predictions and not systems:
        raise UsageError("name the reports: PREDS, or --system NAME=FILE for each system")
    return predictions


def _systems(words: Sequence[str]) -> dict[str, list[Path]]:
    """NAME=FILE[,FILE] → name → files, which are its runs."""
    systems: dict[str, list[Path]] = {}
    for word in words:
        name, equals, files = word.partition("=")
        name = " ".join(name.split())
        named = [files] if Path(files).is_file() else [file.strip() for file in files.split(",")]
        if not (equals and name and all(named)):
            raise UsageError(f"--system {word}: write NAME=FILE, or NAME=FILE,FILE for its runs")
        if name in systems:
            raise UsageError(f"--system {name} is named twice; its runs are NAME=FILE,FILE")
        if len(set(named)) < len(named):
            raise UsageError(f"--system {name}: the same file of predictions is named twice")
        systems[name] = [Path(file) for file in named]
    return systems


def _listed(names: str | None) -> list[str]:
    return [name.strip().lower() for name in (names or "").split(",") if name.strip()]


def _chexbert() -> "Labeler":
    """CheXbert's labeler, a network, for the tools of `kia.evaluation`."""
    from kia.errors import MissingDependency, ModelError
    from kia.evaluation.tools import chexbert_weights
    from kia.models.chexbert import load_chexbert

    weights = chexbert_weights()
    assert weights is not None  # `usable_tools` asked
    try:
        return load_chexbert(weights).label_reports
    except ModelError as error:
        raise MissingDependency(str(error)) from None


def _check_options(
    data: Path | None,
    split: str,
    references: Path | None,
    train_references: Path | None,
    dataset: str | None,
) -> None:
    if data is not None and references is not None:
        raise UsageError("give the references: either --data DIR or --references FILE")
    if train_references is not None and data is not None:
        raise UsageError("--train-references goes with --references; --data has its own")
    _check_split(split)
    check_cleaning(dataset)


def _check_one_system(predictions: Sequence[Path], **files: Path | None) -> None:
    for option, file in files.items():
        if file and len(predictions) > 1:
            raise UsageError(f"--{option} are those of one file of predictions; name one")


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise UsageError(f"no split {split!r}: use one of {', '.join(SPLITS)}")


def check_cleaning(dataset: str | None) -> None:
    """Refuses a style of cleaning that there is not."""
    if dataset not in (None, "iu", "mimic"):
        raise UsageError(f"--dataset is iu or mimic, not {dataset!r}")


def check_files(**files: Path | None) -> None:
    """Nobody should learn after minutes of scoring that the result cannot be written."""
    for option, file in files.items():
        if file is not None and file.is_dir():
            raise UsageError(f"--{option} {file} is a folder; name a file")


def write_page(
    page: "Page",
    result: dict[str, Any],
    json_file: Path | None,
    markdown_file: Path | None,
    latex_file: Path | None,
) -> None:
    """Writes what --json, --markdown and --latex ask for."""
    from kia.cli.console import write_json
    from kia.evaluation.board import rendering

    if json_file is not None:
        write_json(json_file, result)
    if markdown_file is not None:
        _write_text(markdown_file, rendering.markdown(page))
    if latex_file is not None:
        _write_text(latex_file, rendering.latex(page))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_html(path: Path, outcome: "Outcome", data: Path | None) -> None:
    from kia.evaluation.evaluate import comparison_page
    from kia.evaluation.prepared import study_images

    images = None if data is None else study_images(data)
    _write_text(path, comparison_page(outcome, images))


def _print_findings(findings: dict[str, dict[str, float]]) -> None:
    from kia.cli.console import table

    columns = [name.replace("_", " ") for name in findings]
    rows: Sequence[Sequence[object]] = [
        [name, *(scores[name] for scores in findings.values())] for name in findings["predictions"]
    ]
    title = "findings called present against those drawn: micro, then F1 of each"
    table(["", *columns], rows, title=title)
