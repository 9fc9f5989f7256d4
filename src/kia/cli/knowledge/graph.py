"""`kia knowledge graph`: the RadGraph graphs of any reports."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli.columns import IdColumn, ReportColumn
from kia.cli.knowledge.given import Language, given_reports, unread

if TYPE_CHECKING:
    from kia.knowledge.radgraph import ReportGraph

_BATCH = 256  # reports between two steps of the progress bar


class GraphSource(StrEnum):
    """Who draws the graphs."""

    rules = "rules"
    radgraph = "radgraph"


class Labels(StrEnum):
    """The two sets of RadGraph's labels."""

    v1 = "v1"
    xl = "xl"


def graph(
    reports: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="a .txt file (a report a line), a table, or a folder of .txt files"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="OUT.json", help="the graphs, by report")],
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    source: Annotated[
        GraphSource, typer.Option("--source", help="kia's rules, or the radgraph package")
    ] = GraphSource.rules,
    labels: Annotated[
        Labels, typer.Option("--labels", help="names of the labels: RadGraph 1 or RadGraph-XL")
    ] = Labels.v1,
    language: Language = "en",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="also write the table as JSON")
    ] = None,
) -> None:
    """Find anatomy, observations and their relations in reports, in RadGraph's format."""
    from kia.cli.console import out as stdout
    from kia.cli.console import table, write_json
    from kia.knowledge.radgraph import ReportGraph, write_graphs

    found = given_reports(reports, id_column, report_column, out, json_file)
    texts = [text for _, text in found]
    foreign = unread(texts, language)
    graphs = _package(texts) if source == GraphSource.radgraph else _rules(texts)
    for place in foreign:
        graphs[place] = ReportGraph(graphs[place].text)
    write_graphs(out, {key: g for (key, _), g in zip(found, graphs, strict=True)}, labels.value)
    counts = {**_counts(graphs), "left_out": len(foreign)} if foreign else _counts(graphs)
    table(["", "count"], counts.items())
    stdout.print(f"wrote {out}")
    if json_file is not None:
        write_json(json_file, counts)


def _rules(texts: list[str]) -> "list[ReportGraph]":
    from kia.cli.console import progress
    from kia.knowledge.graphs.rules import extract_graphs
    from kia.knowledge.language import ANY

    graphs: list[ReportGraph] = []
    with progress() as bar:
        task = bar.add_task("graphs", total=len(texts))
        for start in range(0, len(texts), _BATCH):
            graphs += extract_graphs(texts[start : start + _BATCH], ANY)
            bar.update(task, completed=len(graphs))
    return graphs


def _package(texts: list[str]) -> "list[ReportGraph]":
    from kia.cli.console import err
    from kia.knowledge.radgraph_package import package_graphs

    with err.status(f"Graphs of {len(texts)} reports by the radgraph package…"):
        return package_graphs(texts)


def _counts(graphs: "list[ReportGraph]") -> dict[str, Any]:
    """Reports, those without an entity, and entities and relations by kind."""
    from kia.knowledge.radgraph import LABELS, RELATIONS

    entities = [entity for one in graphs for entity in one.entities.values()]
    labels = Counter(entity.label for entity in entities)
    relations = Counter(kind for entity in entities for kind, _ in entity.relations)
    return {
        "reports": len(graphs),
        "reports_without_entities": sum(not one.entities for one in graphs),
        **{label: labels[label] for label in LABELS},
        **{relation: relations[relation] for relation in RELATIONS},
    }
