"""`kia evaluate`: the scoreboard of a file of reports, from kia or any other system."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from kia.errors import DataError, UsageError
from kia.studies import SPLITS, Split

if TYPE_CHECKING:
    from kia.evaluation.protocols import DatasetStyle


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDS.jsonl", help='one {"id", "report"} line a study')
    ],
    data: Annotated[Path | None, typer.Option(help="prepared data set with the references")] = None,
    split: Annotated[str, typer.Option(help="split of the data set")] = "test",
    references: Annotated[
        Path | None, typer.Option(help="references as JSON lines, instead of --data")
    ] = None,
    train_references: Annotated[
        Path | None, typer.Option(help="training reports as JSON lines, to go with --references")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="write the result there too")
    ] = None,
    dataset: Annotated[str, typer.Option(metavar="iu|mimic", help="style of cleaning")] = "iu",
    seed: Annotated[int, typer.Option(min=0, help="seed of the intervals")] = 0,
) -> None:
    """Score reports against references: three protocols, baselines, intervals."""
    from kia.cli.console import err, out, write_json
    from kia.evaluation.predictions import read_embeddings, read_reports
    from kia.evaluation.scoreboard import evaluate_predictions, render

    _check_options(data, split, references, train_references, dataset)
    if json_file is not None and json_file.is_dir():
        raise UsageError(f"--json {json_file} is a folder; name a file")
    reports = read_reports(predictions)
    if data is not None:
        sources = _from_dataset(data, cast(Split, split))
    else:
        sources = _from_files(cast(Path, references), train_references)
    with err.status(f"Scoring {len(reports)} reports…"):
        result = evaluate_predictions(
            reports,
            **sources,
            dataset=cast("DatasetStyle", dataset),
            embeddings=read_embeddings(predictions),
            seed=seed,
        )
    findings = None if data is None else _phantom_findings(data, reports)
    if findings is not None:
        result["phantom_findings"] = findings
    if json_file is not None:
        write_json(json_file, result)
    out.print(render(result))
    if findings is not None:
        _print_findings(findings)


def _check_options(
    data: Path | None,
    split: str,
    references: Path | None,
    train_references: Path | None,
    dataset: str,
) -> None:
    if (data is None) == (references is None):
        raise UsageError("give the references: either --data DIR or --references FILE")
    if train_references is not None and data is not None:
        raise UsageError("--train-references goes with --references; --data has its own")
    if split not in SPLITS:
        raise UsageError(f"no split {split!r}: use one of {', '.join(SPLITS)}")
    if dataset not in ("iu", "mimic"):
        raise UsageError(f"--dataset is iu or mimic, not {dataset!r}")


def _from_dataset(folder: Path, split: Split) -> dict[str, Any]:
    """Arguments of `evaluate_predictions` from a prepared data set."""
    from kia.data.store import PreparedDataset

    prepared = PreparedDataset.open(folder)
    references = dict(zip(prepared.ids(split), prepared.reports(split), strict=True))
    if not references:
        raise DataError(f"{folder}: split {split} has no studies")
    return {
        "references": references,
        "train_reports": prepared.reports("train"),
        # the best constant must not be chosen on what is scored
        "val_reports": prepared.reports("val") if split == "test" else None,
        "origin": {"hash": prepared.info["content_hash"], "split": split},
    }


def _phantom_findings(folder: Path, reports: dict[str, str]) -> dict[str, dict[str, float]] | None:
    """Findings that reports of phantoms call present, against what was drawn; None for others."""
    from kia.data.phantom_scores import finding_scores
    from kia.data.store import PreparedDataset
    from kia.evaluation.baselines import most_frequent

    prepared = PreparedDataset.open(folder)
    if not str(prepared.info.get("source", "")).startswith("phantom"):
        return None
    truth = [prepared.study(prepared.index_of(id)).labels or {} for id in reports]
    constant = most_frequent(prepared.reports("train")).report
    return {
        "predictions": finding_scores(list(reports.values()), truth),
        "most_frequent": finding_scores([constant] * len(truth), truth),
    }


def _print_findings(findings: dict[str, dict[str, float]]) -> None:
    from kia.cli.console import table

    columns = [name.replace("_", " ") for name in findings]
    rows = [[name, *(s[name] for s in findings.values())] for name in findings["predictions"]]
    title = "findings called present against those drawn: micro, then F1 of each"
    table(["", *columns], rows, title=title)


def _from_files(references: Path, train_references: Path | None) -> dict[str, Any]:
    """Arguments of `evaluate_predictions` from files of reports."""
    from kia.evaluation.predictions import read_reports

    train = None if train_references is None else list(read_reports(train_references).values())
    return {"references": read_reports(references), "train_reports": train}
