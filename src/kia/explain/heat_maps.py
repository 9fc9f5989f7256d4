"""Attention over the views of a study as heat maps beside the image (Paper: Fig. 7)."""

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


@dataclass(frozen=True)
class HeatMap:
    """A title and the attention (W, N) that it goes with, sum 1."""

    title: str
    attention: NDArray[np.floating]


def draw_heat_maps(
    views: NDArray[np.uint8],
    names: Sequence[str],
    maps: Sequence[HeatMap],
    path: str | Path,
    *,
    title: str = "",
    dpi: int = 150,
) -> None:
    """Writes a PNG: the views alone, then once for each map.

    Colours give the attention of a patch as a multiple of an even spread over all patches, on one
    scale for all maps; where it is below 1 the image is seen alone.

    Args:
        views: (W, S, S), patient right on image left in frontal ones.
        names: "frontal" or "lateral" for each.
        maps: What to draw.
        path: Of the PNG.
        title: Above everything.
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
        _show(panel, pixels, name)
        panel.set_title(name, fontsize=8, loc="left")
    spread = [one.attention * one.attention.size for one in maps]
    most = max([2.0, *(float(values.max()) for values in spread)])
    for cell, one, attention in zip(cells[1:], maps, spread, strict=False):
        text = textwrap.fill(one.title, _CHARACTERS * len(views), max_lines=2)
        cell[0].set_title(text, fontsize=8, loc="left")
        for panel, name, pixels, values in zip(cell, names, views, attention, strict=True):
            _show(panel, pixels, name)
            heat = values.reshape(math.isqrt(len(values)), -1)
            alpha = _OPACITY * np.clip((heat - 1) / (most - 1), 0, 1) ** 0.5
            shown = panel.imshow(
                heat, cmap=_COLOURS, vmin=1, vmax=most, alpha=alpha, extent=(0, 1, 1, 0)
            )
    if maps:
        axis = figure.add_axes((1 - 0.8 * _BAR / width, 0.2, 0.15 / width, 0.6))
        figure.colorbar(shown, cax=axis).set_label("attention, × an even spread", fontsize=8)
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


def _show(panel: Any, pixels: NDArray[np.uint8], name: str) -> None:
    panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, 1, 1, 0))
    if name == "frontal":
        panel.text(0.02, 0.02, "R", color="white", fontsize=9, ha="left", va="top")
