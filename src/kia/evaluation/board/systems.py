"""What is scored: the reports of one or more systems, and the references that they meet."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from kia.evaluation.clinical.efficacy import Labels
from kia.evaluation.language.protocols import DatasetStyle
from kia.knowledge.radgraph import ReportGraph

Labeler = Callable[[Sequence[str]], list[dict[str, int | None]]]
"""Reports → labels of the 14 observations: 1, 0, -1 or None."""

Extractor = Callable[[Sequence[str]], list[ReportGraph]]
"""Reports → RadGraph graphs."""

T = TypeVar("T")


@dataclass(frozen=True)
class System:
    """The reports of one system.

    Attributes:
        reports: Id → raw report.
        name: What tables call it.
        embeddings: Image embeddings (train (n, P), these studies (m, P) in the order of
            `reports`), for the nearest-neighbour baseline.
        labels: Id → labels from a file; None to label the reports.
        graphs: Id → graph from a file, for RadGraph-F1.
        image_gain: What the run says about it: "value" in nats a token, "split", "epoch" ….
    """

    reports: Mapping[str, str]
    name: str = "model"
    embeddings: tuple[np.ndarray, np.ndarray] | None = None
    labels: Mapping[str, Labels] | None = None
    graphs: Mapping[str, ReportGraph] | None = None
    image_gain: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class References:
    """What reports are scored against.

    Attributes:
        reports: Id → raw reference report.
        train: Raw training reports; without them ``r2gen`` and the baselines taken from training
            are None.
        val: Raw validation reports, on which constants are chosen; never those that are scored.
        dataset: Cleaning, vocabulary and cut of "iu" or "mimic".
        origin: "hash", "split" and "source" of the data set, where there is one.
        labels: Id → labels from a file; None to label the references.
        graphs: Id → graph from a file, for RadGraph-F1.
        groups: Column → id → value, by which results are split.
        other_splits: Split → its ids, to recognise predictions of another split.
    """

    reports: Mapping[str, str]
    train: Sequence[str] | None = None
    val: Sequence[str] | None = None
    dataset: DatasetStyle = "iu"
    origin: Mapping[str, str | None] = field(default_factory=dict)
    labels: Mapping[str, Labels] | None = None
    graphs: Mapping[str, ReportGraph] | None = None
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    other_splits: Mapping[str, Iterable[str]] = field(default_factory=dict)


def built_in_labeler() -> Labeler:
    """kia's rule labeler."""
    from kia.knowledge.labels.rules import label_reports

    return label_reports


def built_in_extractor() -> Extractor:
    """kia's rule extractor of graphs."""
    from kia.knowledge.graphs.rules import extract_graphs

    return extract_graphs


def annotate(read: Callable[[Sequence[str]], list[T]], texts: Iterable[str]) -> dict[str, T]:
    """Labels or graphs of reports, each different report read once.

    Args:
        read: A labeler or an extractor.
        texts: Raw reports; baselines and normal studies repeat them.
    """
    unique = list(dict.fromkeys(texts))
    return dict(zip(unique, read(unique), strict=True))
