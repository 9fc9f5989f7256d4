"""F1 of each observation, a column for each of several systems; for the page alone."""

from collections.abc import Mapping
from typing import Any

from kia.evaluation.board.tables import Row, ScoreTable, at_path, number

Values = Mapping[str, Any]

_PATH = ("clinical", "uncertain_negative", "observations")


def observation_table(result: Values) -> ScoreTable:
    """F1 by observation, uncertain as absent, the most frequent first.

    Args:
        result: Of several systems, from `kia.evaluation.board.comparison.Comparison.result`.
    """
    systems = result["systems"]
    found = {name: at_path(one, _PATH) for name, one in systems.items()}
    first = next(iter(found.values()))
    rows = []
    for name in sorted(first, key=lambda name: -first[name]["support"]):
        scores = [number(found[system][name]["f1"], 3) for system in systems]
        rows.append(Row(name, [f"{first[name]['support']:g}", *scores]))
    columns = ["observation", "support", *systems]
    title = "F1 by observation, uncertain as absent"
    return ScoreTable(title, columns, [rows], key="observations")
