"""Scores reports in one call, as `kia evaluate` does: files or texts in, the result out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kia.errors import UsageError
from kia.evaluation.board.comparison import Comparison
from kia.evaluation.board.entries import Settings
from kia.evaluation.board.leaderboard_result import leaderboard_result
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.board.systems import Labeler, References, System
from kia.evaluation.cases import Case
from kia.evaluation.inputs import (
    Given,
    Texts,
    given_references,
    named_systems,
    read_given,
    runs_of,
)
from kia.evaluation.joining import annotations_of, system_on_references
from kia.evaluation.language.protocols import DatasetStyle
from kia.evaluation.leaderboard import Leaderboard, leaderboard_for
from kia.evaluation.prepared import dataset_references, phantom_findings, studies_of_images
from kia.evaluation.reports.columns import Choice, are_headed
from kia.evaluation.statistics.intervals import RESAMPLES
from kia.evaluation.statistics.seeds import over_seeds
from kia.evaluation.tools import scores_by_tools
from kia.studies import Split


@dataclass(frozen=True)
class Setup:
    """What is scored against what, and how. Files are in any of the field's forms.

    Attributes:
        predictions: Generated reports; several are runs of one system. None with `systems`.
        references: References, unless `data` or the file of predictions has them.
        data: A prepared data set with the references.
        split: Of the data set, or of R2Gen's annotation.json.
        train: Training reports, to go with `references`.
        against: Reports of another system, or the name of one of `systems`: paired differences,
            p-values.
        by: Columns that split the results.
        labels: File of labels of the reports, instead of kia's labeler.
        reference_labels: File of labels of the references.
        graphs: File of RadGraph's graphs of the reports, for RadGraph-F1; not without
            `reference_graphs`.
        reference_graphs: File of graphs of the references.
        label_reports: The table that `labels` or `graphs` without ids were made from; by default
            the reports themselves. Those of the references are in the order of the references.
        metadata: MIMIC-CXR's table of dicom_ids and their studies.
        choice: Columns by the user's names.
        dataset: Cleaning, vocabulary and cut of "iu" or "mimic"; if absent those of the source
            that `data` records, else of "iu".
        settings: Resamples, seed …
        tools: Of others, that score too (`kia.evaluation.tools.usable_tools`).
        chexbert: Loads CheXbert's labeler, for the tool of that name.
        systems: Name → reports, several of which are its runs: one table for all.
        rexrank: Put the rows of the leaderboard ReXrank beside ours.
    """

    predictions: Sequence[Texts] = ()
    references: Texts | None = None
    data: str | Path | None = None
    split: Split = "test"
    train: Texts | None = None
    against: Texts | None = None
    by: Sequence[str] = ()
    labels: Path | None = None
    reference_labels: Path | None = None
    graphs: Path | None = None
    reference_graphs: Path | None = None
    label_reports: Path | None = None
    metadata: Path | None = None
    choice: Choice = field(default_factory=Choice)
    dataset: DatasetStyle | None = None
    settings: Settings = field(default_factory=Settings)
    tools: Sequence[str] = ()
    chexbert: Callable[[], Labeler] | None = None
    systems: Mapping[str, Sequence[Texts]] = field(default_factory=dict)
    rexrank: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was scored.

    Attributes:
        result: What `kia evaluate --json` writes; see docs/evaluation.md.
        evaluation: The scores of each run of each system, to be resampled, and its worst cases.
        runs: With several systems, system → names of its runs in `evaluation`.
    """

    result: dict[str, Any]
    evaluation: Evaluation
    runs: Mapping[str, Sequence[str]] = field(default_factory=dict)


def evaluate(
    references: Texts | None,
    predictions: Texts | Sequence[Path] | Mapping[str, Texts | Sequence[Texts]],
    *,
    train: Texts | None = None,
    data: str | Path | None = None,
    split: Split = "test",
    against: Texts | None = None,
    by: Sequence[str] = (),
    dataset: DatasetStyle | None = None,
    allow_missing: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    by_organ: bool = False,
    **files: Any,
) -> dict[str, Any]:
    """Scores reports: four protocols, clinical efficacy, errors, graphs, baselines, intervals.

    Args:
        references: A list of texts, a mapping of ids to texts, or the path of a file; None if
            `data`, or the file of predictions, has them.
        predictions: Likewise; a list of Paths are runs of one system. Several systems are a mapping
            of their names to reports, none of which is a plain text: lists, mappings, Paths, or
            lists of these, which are runs.
        train: Training reports; without them the protocol r2gen and some baselines are None.
        data: A prepared data set with references and training reports.
        split: Of the data set, or of R2Gen's annotation.json.
        against: Reports of another system, or the name of one of several.
        by: Columns that split the results.
        dataset: Cleaning, vocabulary and cut of "iu" or "mimic"; if absent those of the source
            that `data` records, else of "iu".
        allow_missing: Score the studies that both sides have.
        resamples: Of intervals and p-values.
        seed: Of intervals and p-values.
        by_organ: Score what is said of each organ, too.
        **files: Further fields of `Setup`: labels, graphs …

    Returns:
        What `kia evaluate --json` writes; keys in docs/evaluation.md.

    Raises:
        DataError: A file is malformed, or the two sides do not speak of the same studies.
        UsageError: There are no references, or references twice.
    """
    systems = named_systems(predictions)
    setup = Setup(
        () if systems else runs_of(predictions),
        references,
        data,
        split,
        train,
        against,
        by,
        dataset=dataset,
        settings=Settings(
            allow_missing=allow_missing, resamples=resamples, seed=seed, by_organ=by_organ
        ),
        systems=systems,
        **files,
    )
    return score(setup).result


def score(setup: Setup) -> Outcome:
    """Scores what a set-up names; see `evaluate`."""
    if setup.systems:
        return _comparison(setup)
    systems, references, other = read_sides(setup)
    board = _leaderboard(setup, references, systems)
    found = _outcome(setup, systems, references, other)
    runs = {"": [system.name for system in systems]}
    return replace(
        found,
        result=found.result | leaderboard_result(board, found.evaluation, setup.settings, runs),
    )


def _leaderboard(
    setup: Setup, references: References, systems: Sequence[System]
) -> Leaderboard | None:
    """The leaderboard, where it is asked for; refused before anything is scored."""
    if not setup.rexrank:
        return None
    board = leaderboard_for(references.reports.values(), references.origin)
    if setup.settings.allow_missing:  # else they are refused with their ids
        for system in systems:
            if lacking := len(references.reports.keys() - system.reports.keys()):
                raise UsageError(
                    f"--rexrank: {system.name} has no report of {lacking} of the "
                    f"{len(references.reports)} studies; the board's scores are of all"
                )
    return board


def read_sides(setup: Setup) -> tuple[list[System], References, System | None]:
    """The systems of a set-up, on the ids of the references; the references; and `against`.

    With `Setup.systems` these are all their runs, in order.
    """
    if setup.references is not None and setup.data is not None:
        raise UsageError("give the references: either --data DIR or --references FILE")
    if setup.train is not None and setup.data is not None:
        raise UsageError("--train-references goes with --references; --data has its own")
    choice = replace(setup.choice, split=setup.split)
    if setup.references is not None or setup.data is not None:
        choice = replace(choice, reference_column=None)  # theirs, not that of the predictions
    runs = [(name, run) for name, runs in setup.systems.items() for run in runs]
    runs = runs or [("predictions", text) for text in setup.predictions]
    given = [read_given(text, "predictions", choice, name) for name, text in runs]
    truth, references, studies = _references(setup, given[0])
    table = None if setup.label_reports is None else read_given(setup.label_reports, "references")
    files = (setup.labels, setup.graphs, table)
    systems = [system_on_references(one, truth, studies, *files) for one in given]
    labels, graphs = annotations_of(truth, studies, setup.reference_labels, setup.reference_graphs)
    other = None
    if setup.against is not None and not setup.systems:
        theirs = read_given(setup.against, "predictions", choice)
        other = system_on_references(theirs, truth, studies)
        if not isinstance(setup.against, str | Path):  # both sides are from memory
            other = replace(other, name="against")
    return systems, replace(references, labels=labels, graphs=graphs), other


def _references(setup: Setup, first: Given) -> tuple[Given, References, Mapping[str, str]]:
    """The references twice, as they were given and as they are scored; and dicom_id → study id."""
    from kia.data.imported import read_metadata

    studies = {} if setup.metadata is None else read_metadata(setup.metadata)
    if setup.data is not None:
        found = dataset_references(setup.data, setup.split, setup.dataset, setup.by)
        studies = studies or studies_of_images(setup.data, setup.split)
        return Given(found.reports, str(setup.data)), found, studies
    if setup.references is not None:
        choice = replace(
            setup.choice,
            split=setup.split,
            report_column=setup.choice.reference_column,
            headed=are_headed(list(first.reports.values())),
        )
        truth = read_given(setup.references, "references", choice)
    elif first.references is not None:
        truth = replace(first, reports=first.references)
    else:
        raise UsageError("give the references: either --data DIR or --references FILE")
    train = None
    if setup.train is not None:
        choice = replace(setup.choice, split="train", report_column=setup.choice.reference_column)
        train = list(read_given(setup.train, "references", choice).reports.values())
    return truth, given_references(truth, train, setup.dataset or "iu", setup.by), studies


def _outcome(
    setup: Setup, systems: Sequence[System], references: References, other: System | None
) -> Outcome:
    """The scores of a system; of several, which are its runs, over their seeds."""
    evaluation = Evaluation(systems, references, setup.settings, other)
    for system, result in zip(systems, evaluation.results, strict=True):
        pairs = evaluation.pairs(system.name)
        result |= scores_by_tools(setup.tools, *pairs, setup.chexbert)
    if len(systems) > 1:
        return Outcome(over_seeds(evaluation.results), evaluation)
    result = evaluation.results[0]
    if setup.data is not None:
        pairs = evaluation.pairs(systems[0].name)
        findings = phantom_findings(setup.data, *pairs, evaluation.ids)
        if findings is not None:
            result["phantom_findings"] = findings
    return Outcome(result, evaluation)


def _comparison(setup: Setup) -> Outcome:
    """The scores of several systems; a file that they are compared with is one more."""
    if setup.labels is not None or setup.graphs is not None:
        raise UsageError(
            "labels and graphs from a file are those of one system, not of several: name its "
            "reports as PREDS, without --system"
        )
    against = setup.against
    if against is not None and against not in list(setup.systems):
        named = isinstance(against, str | Path)
        if named and not Path(str(against)).exists():
            known = ", ".join(setup.systems)
            raise UsageError(f"--against {against}: neither a file nor a system ({known})")
        given, against = against, str(against) if named else "against"
        if against in setup.systems:
            raise UsageError(f"a system is called {against!r}: name it as what to compare with")
        setup = replace(setup, systems={**setup.systems, against: [given]})
    everyone, references, _ = read_sides(setup)
    board = _leaderboard(setup, references, everyone)
    left = iter(everyone)
    systems = {name: [next(left) for _ in runs] for name, runs in setup.systems.items()}
    found = Comparison(systems, references, setup.settings, against)
    for result in found.evaluation.results:
        pairs = found.evaluation.pairs(result["name"])
        result |= scores_by_tools(setup.tools, *pairs, setup.chexbert)
        if findings := phantom_findings(setup.data, *pairs, found.evaluation.ids):
            result["phantom_findings"] = findings
    rows = leaderboard_result(board, found.evaluation, setup.settings, found.runs)
    return Outcome(found.result() | rows, found.evaluation, found.runs)


def comparison_page(
    outcome: Outcome, images: Callable[[str], Sequence[bytes]] | None = None
) -> str:
    """What `kia evaluate --html` writes: tables and all studies, as one page.

    Args:
        outcome: From `score`.
        images: Study id → its images as PNG files; those of the worst studies are shown.
    """
    from kia.evaluation.board.html_report import html_report
    from kia.evaluation.board.studies import judged_studies

    result, evaluation = outcome.result, outcome.evaluation
    columns = {name: runs[0] for name, runs in outcome.runs.items()}
    cases: Sequence[Case] = ()
    if not columns and "runs" in result:
        columns = {run["name"]: run["name"] for run in result["runs"]}
    elif not columns:
        columns, cases = {"model": result["name"]}, evaluation.worst_cases(result["name"])
        if "against" in result:
            columns[result["against"]["name"]] = result["against"]["name"]
    return html_report(result, cases, images, judged_studies(evaluation, columns))
