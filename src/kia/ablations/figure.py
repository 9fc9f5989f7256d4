"""Figure 5 of the paper: F1 of six observations, a bar for each setting."""

from pathlib import Path
from typing import Any

import numpy as np

from kia.ablations.settings import CE
from kia.ablations.tables import shown_observations
from kia.errors import require
from kia.evaluation.board.tables import Values, at_path

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
"""Told apart by the colour-blind too (Okabe and Ito, 2008)."""

HATCHES = ("", "//", "..", "xx")  # and without colour


def require_matplotlib() -> None:
    """Refuses at once what could not be drawn at the end.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "the figure")


def draw_observations(found: Values, path: Path, dpi: int = 150) -> None:
    """Writes a PNG with the F1 of each observation (Paper: Fig. 5).

    Args:
        found: From `ablation_result` of "fig5".
        path: Of the PNG.
        dpi: Pixels an inch.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    names = shown_observations(found)
    for place, row in enumerate(found["rows"]):
        _draw_bars(axes, names, row, place, len(found["rows"]))
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    axes.set_ylabel("F1, uncertain as absent")
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    seeds, split = len(found["seeds"]), found["dataset"]["split"]
    lines = f"sd over {seeds} seeds" if seeds > 1 else "95 % intervals over studies, one seed"
    axes.set_title(
        f"{found['n']} studies of split {split}; lines: {lines}", fontsize=10, loc="left"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, format="png")


def _draw_bars(axes: Any, names: list[str], row: Values, place: int, rows: int) -> None:
    """The bars of one setting, each with its value at its foot."""
    values, errors = _bars(row["result"], names)
    width = 0.8 / rows
    x = np.arange(len(names)) + (place - (rows - 1) / 2) * width
    style = {"color": COLOURS[place % 4], "hatch": HATCHES[place % 4], "edgecolor": "white"}
    axes.bar(x, values, width, label=row["label"], **style)
    axes.errorbar(x, values, errors, fmt="none", ecolor="#333333", elinewidth=1, capsize=3)
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    for at, value in zip(x, values, strict=True):
        axes.text(at, 0.02, f"{value:.2f}", ha="center", fontsize=8, bbox=box)


def _bars(result: Values, names: list[str]) -> tuple[list[float], np.ndarray]:
    """F1 of each observation, and how far down and up its error bar reaches, (2, n)."""
    base = (*CE.split("."), "observations")
    values, ranges = [], []
    for name in names:
        value = at_path(result, (*base, name, "f1"))
        if "sd" in result:
            down = up = at_path(result["sd"], (*base, name, "f1"))
        else:
            low, high = at_path(result["confidence"], (*base, name, "f1"))
            down, up = max(value - low, 0), max(high - value, 0)
        values.append(value)
        ranges.append((down, up))
    return values, np.array(ranges).T
