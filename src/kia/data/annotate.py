"""Labels, graph and landmarks for studies that come without: built-in tools, or files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from kia.errors import DataError
from kia.knowledge import chexpert
from kia.knowledge.graph_rules import extract_graphs
from kia.knowledge.label_rules import label_reports
from kia.knowledge.landmarks import mentioned_landmarks
from kia.knowledge.radgraph import ReportGraph, read_graphs
from kia.studies import Study


def annotated(
    studies: Iterable[Study],
    labels: Mapping[str, Mapping[str, int | None]] | None = None,
    graphs: Mapping[str, ReportGraph] | None = None,
) -> Iterator[Study]:
    """Studies with labels, graph and landmarks of their report, in the same order.

    Args:
        studies: Any.
        labels: Study id → labels; those of the built-in labeler if None. A study that is not
            in it stays without labels.
        graphs: Study id → graph; those of the built-in extractor if None, and so on.
    """
    studies = iter(studies)
    while chunk := list(islice(studies, 256)):
        reports = [study.report for study in chunk]
        found = label_reports(reports) if labels is None else [labels.get(s.id) for s in chunk]
        drawn = extract_graphs(reports) if graphs is None else [graphs.get(s.id) for s in chunk]
        for study, label, graph in zip(chunk, found, drawn, strict=True):
            yield replace(
                study,
                labels=label,
                graph=None if graph is None else graph.to_record(),
                landmarks=mentioned_landmarks(study.report),
            )


def imported(
    studies: Iterable[Study], labels: Path | None, graphs: Path | None
) -> tuple[Mapping[str, Mapping[str, int | None]] | None, Mapping[str, ReportGraph] | None]:
    """What `annotated` takes, read from the user's files.

    Raises:
        DataError: A file is malformed, or names none of the studies.
    """
    ids = {study.id for study in studies}
    read_label = None if labels is None else chexpert.read_labels(labels)
    read_graph = None if graphs is None else read_graphs(graphs)
    for path, read in ((labels, read_label), (graphs, read_graph)):
        if path is not None and read is not None and not ids & read.keys():
            raise DataError(
                f"{path}: none of its {len(read)} ids is a study here; ids look like "
                f"{min(ids)!r} here and {next(iter(read), '')!r} there"
            )
    return read_label, read_graph
