"""Curves of runs: losses, CIDEr, image gain and different reports by epoch, in one picture."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from kia.errors import require
from kia.training.run_log import RunRecord

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Told apart by the colour-blind too (Okabe and Ito, 2008)."""

MARKERS = "osD^vPX"  # and without colour

PANELS = (
    ("loss", "loss, nats a token"),
    ("cider", "CIDEr"),
    ("image_gain", "image gain, nats a token"),
    ("unique", "different reports, % of studies"),
)


def require_matplotlib() -> None:
    """Refuses at once what could not be drawn at the end.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "--plot")


def draw_runs(runs: Mapping[str, RunRecord], path: Path, dpi: int = 130) -> None:
    """Writes a PNG with four panels by epoch; a ring marks the model that is kept.

    Args:
        runs: By the name in the legend.
        path: Of the PNG.
        dpi: Pixels an inch.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
        for place, run in enumerate(runs.values()):
            _draw(axes, run, name, place)
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.set_ylim(bottom=min(0.0, axes.dataLim.y0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_title("report generation, validation; dotted: training", loc="left", fontsize=9)
    figure.axes[1].set_title("ring: the model that is kept", loc="left", fontsize=9)
    handles = [_handle(place) for place in range(len(runs))]
    columns = 1 if max(map(len, runs)) > 40 else min(4, len(runs))
    look: dict[str, Any] = {"loc": "outside upper left", "ncols": columns, "frameon": False}
    for text in figure.legend(handles, list(runs), **look).get_texts():
        text.set_parse_math(False)  # a $ in a folder's name starts no formula
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=dpi, format="png")


def _draw(axes: Any, run: RunRecord, name: str, place: int) -> None:
    colour, marker = _look(place)
    if name == "loss":
        means = training_means(run)
        axes.plot(list(means), list(means.values()), ":", color=colour, linewidth=1.5)
    epochs = [line["epoch"] for line in run.validations]
    values = [_value(line, name) for line in run.validations]
    axes.plot(epochs, values, color=colour, marker=marker, markersize=4, linewidth=1.5)
    if run.kept:
        axes.plot(
            run.kept["epoch"],
            _value(run.kept, name),
            marker="o",
            markersize=11,
            markerfacecolor="none",
            color=colour,
            clip_on=False,
        )


def training_means(run: RunRecord) -> dict[int, float]:
    """Mean training loss of report generation, by epoch."""
    epochs: dict[int, list[float]] = {}
    for line in run.training:
        if "rg" in line:
            epochs.setdefault(line["epoch"], []).append(line["rg"])
    return {epoch: fmean(values) for epoch, values in epochs.items()}


def _value(line: Mapping[str, Any], name: str) -> float:
    if name == "unique":
        return 100 * float(line["unique_reports"]) / float(line["studies"])
    return float(line[name])


def _look(place: int) -> tuple[str, str]:
    colours = len(COLOURS)
    return COLOURS[place % colours], MARKERS[(place + place // colours) % len(MARKERS)]


def _handle(place: int) -> Any:
    from matplotlib.lines import Line2D

    colour, marker = _look(place)
    return Line2D([], [], color=colour, marker=marker, markersize=5)
