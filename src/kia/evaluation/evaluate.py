"""Scores reports in one call, as `kia evaluate` does: files or texts in, the result out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kia.errors import UsageError
from kia.evaluation.board.entries import Settings
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.board.systems import Labeler, References, System
from kia.evaluation.inputs import Given, Texts, given_references, read_given
from kia.evaluation.joining import annotations_of, system_on_references
from kia.evaluation.language.protocols import DatasetStyle
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
        predictions: Generated reports; several are runs of one system.
        references: References, unless `data` or the file of predictions has them.
        data: A prepared data set with the references.
        split: Of the data set, or of R2Gen's annotation.json.
        train: Training reports, to go with `references`.
        against: Reports of another system: paired differences, p-values.
        by: Columns that split the results.
        labels: File of labels of the reports, instead of kia's labeler.
        reference_labels: File of labels of the references.
        graphs: File of graphs of the reports, instead of kia's extractor.
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
    """

    predictions: Sequence[Texts]
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


@dataclass(frozen=True)
class Outcome:
    """What was scored.

    Attributes:
        result: What `kia evaluate --json` writes; see docs/evaluation.md.
        evaluation: The scores of each system, to be resampled, and its worst cases.
    """

    result: dict[str, Any]
    evaluation: Evaluation


def evaluate(
    references: Texts | None,
    predictions: Texts | Sequence[Path],
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
    """Scores reports: three protocols, clinical efficacy, RadGraph-F1, baselines, intervals.

    Args:
        references: A list of texts, a mapping of ids to texts, or the path of a file; None if
            `data`, or the file of predictions, has them.
        predictions: Likewise; a list of Paths are runs of one system.
        train: Training reports; without them the protocol r2gen and some baselines are None.
        data: A prepared data set with references and training reports.
        split: Of the data set, or of R2Gen's annotation.json.
        against: Reports of another system.
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
    setup = Setup(
        _runs(predictions),
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
        **files,
    )
    return score(setup).result


def score(setup: Setup) -> Outcome:
    """Scores what a set-up names; see `evaluate`."""
    systems, references, other = read_sides(setup)
    return _outcome(setup, systems, references, other)


def read_sides(setup: Setup) -> tuple[list[System], References, System | None]:
    """The systems of a set-up, on the ids of the references; the references; and `against`."""
    if setup.references is not None and setup.data is not None:
        raise UsageError("give the references: either --data DIR or --references FILE")
    if setup.train is not None and setup.data is not None:
        raise UsageError("--train-references goes with --references; --data has its own")
    choice = replace(setup.choice, split=setup.split)
    if setup.references is not None or setup.data is not None:
        choice = replace(choice, reference_column=None)  # theirs, not that of the predictions
    given = [read_given(texts, "predictions", choice) for texts in setup.predictions]
    truth, references, studies = _references(setup, given[0])
    table = None if setup.label_reports is None else read_given(setup.label_reports, "references")
    files = (setup.labels, setup.graphs, table)
    systems = [system_on_references(one, truth, studies, *files) for one in given]
    labels, graphs = annotations_of(truth, studies, setup.reference_labels, setup.reference_graphs)
    other = None
    if setup.against is not None:
        theirs = read_given(setup.against, "predictions", choice)
        other = system_on_references(theirs, truth, studies)
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


def _runs(predictions: Texts | Sequence[Path]) -> Sequence[Texts]:
    """One or several sets of reports: paths in a list are files, texts in a list are reports."""
    if isinstance(predictions, str | Path | Mapping):
        return [predictions]
    paths = [item for item in predictions if isinstance(item, Path)]
    return paths if paths and len(paths) == len(predictions) else [list(map(str, predictions))]
