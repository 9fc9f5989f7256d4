"""Tables of what is read from graphs: errors of one system, and F1 of its graphs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kia.evaluation.board.tables import (
    Row,
    ScoreTable,
    at_path,
    baseline_rows,
    number,
    numbers,
    row_name,
    spread_cell,
    spread_label,
    spread_name,
    spread_row,
)
from kia.evaluation.clinical.errors import KINDS
from kia.evaluation.clinical.graphs import LEVELS

Values = Mapping[str, Any]

NOT_RADGRAPH = (
    "Computed as RadGraph-F1, but of other graphs: it compares with no published RadGraph-F1."
)
RADGRAPH = "RadGraph-F1 of the graphs in files"
WEIGHTS = (
    "Lower is better. Weight: 3, 2 or 1 by how grave the finding is, less if slight or doubtful, "
    "more if severe. An empty report misses everything and invents nothing."
)

ERRORS = {
    "weight": "weight",
    "count": "errors",
    "missed.count": "missed",
    "invented.count": "invented",
    "wrong_side.count": "wrong side",
    "wrong_degree.count": "wrong degree",
}
"""Path of a number of errors → column."""


def graph_tables(result: Values) -> list[ScoreTable]:
    """Errors, errors by organ, graph-F1, and RadGraph-F1 where graphs were given.

    Args:
        result: From `kia.evaluation.board.scoreboard`, or read back from its JSON file.
    """
    tables = [_errors(result), _errors_by_organ(result), _graphs(result)]
    return [*tables, _radgraph(result)] if result["radgraph_f1"] else tables


def _graphs(result: Values) -> ScoreTable:
    rows = [Row(row_name(result), numbers(result["graph_f1_kia"], LEVELS), "model")]
    rows += spread_row(result, ("graph_f1_kia",), LEVELS)
    rows += [
        Row(label, numbers(found, LEVELS), "baseline")
        for label, found in baseline_rows(result, ("graph_f1_kia",))
    ]
    title = f"Graph-F1 by {result['graph_sources']['graph_f1_kia']}"
    return ScoreTable(title, ["reports", *LEVELS], [rows], [NOT_RADGRAPH], "graphs")


def _radgraph(result: Values) -> ScoreTable:
    rows = [Row(row_name(result), numbers(result["radgraph_f1"], LEVELS), "model")]
    rows += spread_row(result, ("radgraph_f1",), LEVELS)
    return ScoreTable(RADGRAPH, ["reports", *LEVELS], [rows], key="radgraph")


def _errors(result: Values) -> ScoreTable:
    """Errors a study of the model and of the baselines, fewer are better."""
    rows = [Row(row_name(result), _at_paths(result["clinical_errors"], ERRORS), "model")]
    spread = _spread_at(result, ("clinical_errors",), ERRORS)
    rows.append(Row(f"  {spread_label(result)}", spread, "interval"))
    rows += [
        Row(label, _at_paths(found, ERRORS), "baseline")
        for label, found in baseline_rows(result, ("clinical_errors",))
    ]
    silence = result["clinical_errors"]["silence"]
    rows.append(Row("an empty report", [number(silence, 3), *[""] * (len(ERRORS) - 1)], "baseline"))
    title = f"Errors a study, by {result['graph_sources']['clinical_errors']}"
    return ScoreTable(title, ["reports", *ERRORS.values()], [rows], [WEIGHTS], "errors")


def _errors_by_organ(result: Values) -> ScoreTable:
    rows = []
    for organ, found in result["clinical_errors"]["organs"].items():
        path = ("clinical_errors", "organs", organ)
        bars = [baseline["weight"] for _, baseline in baseline_rows(result, path)]
        spread = _spread_at(result, path, ("weight",))
        cells = [number(found["weight"], 3), *spread, *numbers(found, ("count", *KINDS), 3)]
        rows.append(Row(organ, [*cells, number(min(bars, default=None), 3)]))
    kinds = [kind.replace("_", " ") for kind in KINDS]
    columns = ["organ", "weight", spread_name(result), "errors", *kinds, "best baseline weight"]
    title = f"Errors a study, by organ ({result['graph_sources']['clinical_errors']})"
    return ScoreTable(title, columns, [rows], key="errors-by-organ")


def _at_paths(found: Values, paths: Iterable[str]) -> list[str]:
    return [number(at_path(found, path.split(".")), 3) for path in paths]


def _spread_at(result: Values, path: Sequence[str], names: Iterable[str]) -> list[str]:
    """Intervals, or standard deviations over seeds, of values at paths below a path."""
    return [spread_cell(result, (*path, *name.split("."))) for name in names]
