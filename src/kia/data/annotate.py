"""Labels, graph and landmarks for studies that come without: built-in tools, or files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

from kia.errors import DataError
from kia.knowledge import chexpert
from kia.knowledge.graph_rules import extract_graphs
from kia.knowledge.label_rules import label_reports
from kia.knowledge.landmarks import mentioned_landmarks
from kia.knowledge.radgraph import ReportGraph, read_graphs
from kia.studies import Study

Value = TypeVar("Value")


def annotated(
    studies: Iterable[Study],
    labels: Mapping[str, Mapping[str, int | None]] | None = None,
    graphs: Mapping[str, ReportGraph] | None = None,
) -> Iterator[Study]:
    """Studies with labels, graph and landmarks of their report, in the same order.

    Args:
        studies: Any. Labels that a study already has stay; one without report gets nothing.
        labels: Study id → labels; those of the built-in labeler if None. A study that is not
            in it stays without labels.
        graphs: Study id → graph; those of the built-in extractor if None, and so on.
    """
    studies = iter(studies)
    while chunk := list(islice(studies, 256)):
        described = [study for study in chunk if study.report.strip()]
        unlabelled = [study for study in described if study.labels is None]
        if labels is None:
            read = label_reports([study.report for study in unlabelled])
            found: Mapping[str, Mapping[str, int | None]] = _by_id(unlabelled, read)
        else:
            found = labels
        if graphs is None:
            drawn: Mapping[str, ReportGraph] = _by_id(
                described, extract_graphs([study.report for study in described])
            )
        else:
            drawn = graphs
        for study in chunk:
            yield _with(study, found, drawn)


def _by_id(studies: list[Study], values: Iterable[Value]) -> dict[str, Value]:
    return {study.id: value for study, value in zip(studies, values, strict=True)}


def _with(
    study: Study,
    labels: Mapping[str, Mapping[str, int | None]],
    graphs: Mapping[str, ReportGraph],
) -> Study:
    graph = graphs.get(study.id)
    return replace(
        study,
        labels=labels.get(study.id) if study.labels is None else study.labels,
        graph=None if graph is None else graph.to_record(),
        landmarks=mentioned_landmarks(study.report) if study.report.strip() else None,
    )


def imported(
    ids: Iterable[str], labels: Path | None, graphs: Path | None
) -> tuple[Mapping[str, Mapping[str, int | None]] | None, Mapping[str, ReportGraph] | None]:
    """What `annotated` takes, read from the user's files.

    Args:
        ids: Of the studies.
        labels: CSV of labels, or None.
        graphs: JSON of graphs, or None.

    Raises:
        DataError: A file is malformed, or names none of the studies.
    """
    known = set(ids)
    read_label = None if labels is None else chexpert.read_labels(labels)
    read_graph = None if graphs is None else read_graphs(graphs)
    for path, read in ((labels, read_label), (graphs, read_graph)):
        if path is not None and read is not None and not known & read.keys():
            raise DataError(
                f"{path}: none of its {len(read)} ids is a study here; ids look like "
                f"{min(known, default='')!r} here and {next(iter(read), '')!r} there"
            )
    return read_label, read_graph
