"""ReXrank's rows with ours between them, best BLEU-2 first."""

from collections.abc import Iterator, Mapping
from typing import Any

from kia.evaluation.board.tables import (
    Row,
    ScoreTable,
    at_path,
    named_baselines,
    number,
    short_range,
    spread_cell,
)
from kia.evaluation.leaderboard import COLUMNS

Values = Mapping[str, Any]

_PATH = ("protocols", "rexrank")
_BY_TOOLS = {"ratescore": ("extra", "radeval", "ratescore")}  # by the package that the board uses

_Entry = tuple[float, Row]  # BLEU-2, by which rows are sorted


def leaderboard_table(result: Values) -> ScoreTable:
    """The board with ours.

    Args:
        result: Of one system or of several, with the key "rexrank".
    """
    board = result["rexrank"]
    entries = [*_published(board), *_ours(result), *_baselines(result)]
    entries.sort(key=lambda entry: -entry[0])
    notes = [
        f"{board['source']}: {board['studies']}. The board's rows are as published; ours have its "
        "BLEU, the mean of each study's own BLEU-2, and RaTEScore where --with radeval finds it."
    ]
    first, *others = COLUMNS.values()
    spread = "95 % or sd" if "systems" in result else "sd" if "sd" in result else "95 %"
    columns = ["system", first, spread, *others]
    rows = [row for _, row in entries]
    return ScoreTable(f"ReXrank, {board['dataset']}", columns, [rows], notes, "rexrank")


def _row(label: str, values: Values, kind: str, spread: str = "", digits: int = 4) -> _Entry:
    first, *others = (number(values.get(key), digits) for key in COLUMNS)
    return values["bleu_2"], Row(label, [first, spread, *others], kind)


def _published(board: Values) -> Iterator[_Entry]:
    for row in board["rows"]:
        yield _row(f"{row['system']} ({row['year']})", row, "published", digits=3)


def _ours(result: Values) -> Iterator[_Entry]:
    systems = result.get("systems")
    for name, found in (systems or {"model": result}).items():
        values = {"bleu_2": at_path(found, (*_PATH, "bleu_2"))}
        values |= {key: at_path(found, path) for key, path in _BY_TOOLS.items()}
        spread = spread_cell(found, (*_PATH, "bleu_2"))
        yield _row(name, values, "model" if systems is None else "system", spread)


def _baselines(result: Values) -> Iterator[_Entry]:
    for key, label, found in named_baselines(result):
        if found:
            spread = short_range(result["rexrank"]["confidence"].get(key))
            yield _row(label, found["rexrank"], "baseline", spread)
