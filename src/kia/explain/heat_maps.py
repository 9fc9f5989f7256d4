"""Maps over the views of a study as heat maps beside the image (Paper: Fig. 7)."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.errors import require

_PANEL, _TITLE, _BAR = 2.1, 0.42, 0.85  # inches
_CHARACTERS = 36  # of a title in the width of a panel
_COLOURS = "inferno"  # grows in lightness, so it is read without colour vision too
_OPACITY = 0.8
COLOUR_BARS = {
    "attention": "attention, × even spread",
    "gradient": "gradient, × even spread",
}
"""What the colours mean, by kind of map."""


@dataclass(frozen=True)
class HeatMap:
    """A title and the map (W, N) that it goes with, not negative, sum 1."""

    title: str
    values: NDArray[np.floating]


def draw_heat_maps(
    views: NDArray[np.uint8],
    names: Sequence[str],
    maps: Sequence[HeatMap],
    path: str | Path,
    *,
    title: str = "",
    bar: str = COLOUR_BARS["attention"],
    dpi: int = 150,
) -> None:
    """Writes a PNG: the views alone, then once for each map.

    Colours give the value of a cell as a multiple of an even spread over all cells, on one scale
    for all maps, that ends at the median of their maxima; where it is below 1 the image is seen
    alone.

    Args:
        views: (W, S, S), patient right on image left in frontal ones.
        names: "frontal" or "lateral" for each.
        maps: What to draw.
        path: Of the PNG.
        title: Above everything.
        bar: Label of the colour bar.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    figure = Figure()
    cells = _cells(figure, 1 + len(maps), len(views))
    width = figure.get_figwidth()
    figure.suptitle(title, x=0.1 / width, ha="left", fontsize=11)
    for panel, name, pixels in zip(cells[0], names, views, strict=True):
        show_view(panel, pixels, name)
        panel.set_title(name, fontsize=8, loc="left")
    spread = [one.values * one.values.size for one in maps]
    most = max(2.0, float(np.median([values.max() for values in spread]))) if maps else 2.0
    for cell, one, parts in zip(cells[1:], maps, spread, strict=False):
        text = textwrap.fill(one.title, _CHARACTERS * len(views), max_lines=2)
        cell[0].set_title(text, fontsize=8, loc="left", parse_math=False)
        for panel, name, pixels, values in zip(cell, names, views, parts, strict=True):
            show_view(panel, pixels, name)
            heat = values.reshape(math.isqrt(len(values)), -1)
            alpha = _OPACITY * np.clip((heat - 1) / (most - 1), 0, 1) ** 0.5
            shown = panel.imshow(
                heat, cmap=_COLOURS, vmin=1, vmax=most, alpha=alpha, extent=(0, 1, 1, 0)
            )
    if maps:
        axis = figure.add_axes((1 - 0.8 * _BAR / width, 0.2, 0.15 / width, 0.6))
        figure.colorbar(shown, cax=axis, extend="max").set_label(bar, fontsize=8)
        axis.tick_params(labelsize=7)
    figure.savefig(path, dpi=dpi, format="png")


def _cells(figure: Any, count: int, wide: int) -> Any:
    """Sizes the figure for `count` cells of `wide` panels; (at least count, wide) axes."""
    columns = max(1, min(6 // wide, count))
    rows = -(-count // columns)
    width, height = columns * wide * _PANEL + _BAR, rows * (_PANEL + _TITLE) + _TITLE
    figure.set_size_inches(width, height)
    panels = figure.subplots(
        rows,
        columns * wide,
        squeeze=False,
        gridspec_kw={
            **{"left": 0.1 / width, "right": 1 - _BAR / width, "wspace": 0.04},
            **{"bottom": 0.1 / height, "top": 1 - 2 * _TITLE / height, "hspace": _TITLE / _PANEL},
        },
    )
    for panel in panels.flat:
        panel.set_axis_off()
    return panels.reshape(rows * columns, wide)


def show_view(panel: Any, pixels: NDArray[np.generic], name: str, side: float = 1) -> None:
    """Draws a view (S, S) on square matplotlib axes; R marks the patient's right, if frontal."""
    panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, side, side, 0))
    if name == "frontal":
        at = 0.02 * side
        panel.text(at, at, "R", color="white", fontsize=9, ha="left", va="top")
