"""Puts generated reports, labels and graphs on the ids of the references (`kia.ids`)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kia.errors import DataError
from kia.evaluation.board.systems import System
from kia.evaluation.inputs import Given
from kia.ids import match_ids
from kia.knowledge.alignment import part_about, unaligned_entities
from kia.knowledge.radgraph import ReportGraph
from kia.knowledge.rows import graph_records_by_id, labels_by_id
from kia.tables.notes import note

T = TypeVar("T")

Labels = Mapping[str, int | None]


def system_on_references(
    given: Given,
    references: Given,
    studies: Mapping[str, str],
    labels: Path | None = None,
    graphs: Path | None = None,
    table: Given | None = None,
) -> System:
    """A system whose reports have the ids of the references; ids without a partner stay.

    Args:
        given: Its reports.
        references: What they will be scored against.
        studies: dicom_id → study id.
        labels: File of labels of its reports.
        graphs: File of graphs of its reports.
        table: The table that labels or graphs without ids were made from; its reports' own file
            if None.
    """
    names = _new_names(given, references, studies)
    reports = {names.get(id_, id_): text for id_, text in given.reports.items()}
    known = names, reports, studies
    return System(
        reports,
        given.name,
        given.embeddings,
        labels=None if labels is None else _on_ids(_labels(labels, table or given), labels, *known),
        graphs=None
        if graphs is None
        else _graphs(_on_ids(_records(graphs, table or given), graphs, *known), graphs, reports),
        image_gain=given.image_gain,
    )


def annotations_of(
    references: Given,
    studies: Mapping[str, str],
    labels: Path | None,
    graphs: Path | None,
) -> tuple[dict[str, Labels] | None, dict[str, ReportGraph] | None]:
    """Labels and graphs of the references from files; arguments as in `system_on_references`."""
    names: dict[str, str] = {}
    known = names, references.reports, studies
    found = None if labels is None else _on_ids(_labels(labels, references), labels, *known)
    if graphs is None:
        return found, None
    records = _on_ids(_records(graphs, references), graphs, *known)
    return found, _graphs(records, graphs, references.reports)


def _new_names(given: Given, references: Given, studies: Mapping[str, str]) -> dict[str, str]:
    """Id of a report → id of the reference that it is for."""
    ours, theirs = list(given.reports), list(references.reports)
    if given.has_ids and references.has_ids:
        matched = match_ids(theirs, ours, studies, one_to_one=True)
        if not matched.pairs and (hint := _better_column(given, theirs, studies)):
            raise DataError(matched.line(f"studies of {references.name}", given.name, hint))
        return {other: name for name, other in matched.pairs.items()}
    if given.has_ids == references.has_ids:
        return {}  # rows on both sides
    if len(ours) != len(theirs):
        without, with_ids = sorted((given, references), key=lambda side: side.has_ids)
        raise DataError(
            f"{without.name} has no ids, and its {len(without.reports)} rows are not those of the "
            f"{len(with_ids.reports)} studies of {with_ids.name}; give it a column of ids"
        )
    without = references if given.has_ids else given
    note(f"{without.name} has no ids: its {len(ours)} rows are taken in the order of the studies")
    return dict(zip(ours, theirs, strict=True))


def _better_column(given: Given, wanted: Iterable[str], studies: Mapping[str, str]) -> str:
    """A column of a file that has the ids in place of that which was read; "" if none has."""
    wanted = list(wanted)
    found = {
        name: len(match_ids(wanted, values.values(), studies).pairs)
        for name, values in given.columns.items()
    }
    best = max(found, key=lambda name: found[name], default="")
    return f"--id-column {best} has {found[best]} of them" if best and found[best] else ""


def _labels(path: Path, table: Given) -> Mapping[str, Labels]:
    return labels_by_id(path, lambda: table.reports, table.name)


def _records(path: Path, table: Given) -> Mapping[str, Any]:
    return graph_records_by_id(path, lambda: table.reports, table.name, table.reports)


def _on_ids(
    values: Mapping[str, T],
    path: Path,
    names: Mapping[str, str],
    reports: Mapping[str, str],
    studies: Mapping[str, str],
) -> dict[str, T]:
    """Values by the ids of the references; those of the file may be the system's own."""
    renamed = {names.get(id_, id_): value for id_, value in values.items()}
    best = max(
        ((match_ids(reports, found, studies), found) for found in (values, renamed)),
        key=lambda pair: len(pair[0].pairs),
    )
    matched, found = best
    if not matched.pairs:
        raise DataError(matched.line("studies", str(path)))
    return {name: found[other] for name, other in matched.pairs.items()}


def _graphs(
    records: Mapping[str, Any], path: Path, reports: Mapping[str, str]
) -> dict[str, ReportGraph]:
    """The graphs of records, cut to their reports where they are of whole ones."""
    found = {
        name: part_about(ReportGraph.from_record(record, f"{path}, report {name}"), reports[name])
        for name, record in records.items()
    }
    lost = sum(unaligned_entities(graph, reports[name]) for name, graph in found.items())
    if lost:
        every = sum(len(graph.entities) for graph in found.values())
        note(f"{path}: {lost} of {every} entities do not stand in their reports")
    return found
