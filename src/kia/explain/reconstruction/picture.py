"""One image rebuilt under different reports, as a picture (Paper: App. C, Fig. 9a)."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.errors import require
from kia.explain.heat_maps import show_view

_PANEL, _LINE, _BAR = 2.6, 0.15, 0.8  # inches; a line is one of text
_CHARACTERS, _LINES = 44, 6  # of text below a panel
_TITLE = 38  # characters in the width of a panel
_OUTLINE = "#ff8c1a"
_DIFFERENCES = "PuOr_r"  # orange brighter, violet darker: told apart without colour vision


@dataclass(frozen=True)
class Rebuilt:
    """An image rebuilt under one report.

    Attributes:
        title: Whose report.
        words: What it says, as far as it matters.
        pixels: (S, S) grey values.
    """

    title: str
    words: str
    pixels: NDArray[np.uint8]


def draw_rebuilt(
    image: NDArray[np.uint8],
    image_mask: NDArray[np.bool_],
    key: NDArray[np.int64],
    rebuilt: Sequence[Rebuilt],
    path: str | Path,
    *,
    title: str = "",
    dpi: int = 150,
) -> None:
    """Writes a PNG: the image, what was hidden, and below what each report makes of it.

    Under each report stand its error on the key patches, which are outlined, and its words; then,
    but for the first, how its image differs from the first one's. All in grey levels.

    Args:
        image: (S, S) frontal, patient right on image left.
        image_mask: (N,), True where a patch was hidden.
        key: Patches of the landmark.
        rebuilt: At least one.
        path: Of the PNG.
        title: Above everything.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    grid = math.isqrt(len(image_mask))
    below = [_below(one, image, _pixels_of(key, grid, len(image))) for one in rebuilt]
    figure, panels = _panels(1 + len(rebuilt), max(map(len, below)), title)
    hidden = _pixels_of(np.flatnonzero(image_mask), grid, len(image))
    _show(panels[0, 0], image, "image, key patches outlined", key, grid)
    _show(panels[1, 0], np.where(hidden, 128, image), "what the model saw", key, grid)
    first = rebuilt[0].pixels.astype(float)
    changes = [one.pixels - first for one in rebuilt]
    most = max(10.0, *(float(np.abs(change).max()) for change in changes))
    shown = None
    for upper, lower, one, lines, change in zip(
        *panels[:, 1:], rebuilt, below, changes, strict=True
    ):
        _show(upper, one.pixels, one.title, key, grid)
        look: dict[str, Any] = {"va": "top", "ha": "left", "parse_math": False}
        upper.text(0, grid * 1.03, "\n".join(lines), fontsize=7.5, **look)
        lower.set_axis_off()
        if one is rebuilt[0]:
            continue
        lower.set_title("difference from the first", fontsize=8.5, loc="left")
        shown = lower.imshow(
            change, cmap=_DIFFERENCES, vmin=-most, vmax=most, extent=(0, grid, grid, 0)
        )
        _outline(lower, key, grid)
    if shown is not None:
        _colour_bar(figure, shown)
    figure.savefig(path, dpi=dpi, format="png")


def _panels(columns: int, lines: int, title: str) -> tuple[Any, NDArray[np.object_]]:
    """A figure and its (2, columns) panels, with room for so many lines under the upper ones."""
    from matplotlib.figure import Figure

    words = _LINE * (1 + lines)
    width, height = columns * _PANEL + _BAR, 2 * _PANEL + words + 1.0
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, x=0.1 / width, y=1 - 0.1 / height, ha="left", va="top", fontsize=11)
    panels = figure.subplots(
        2,
        columns,
        squeeze=False,
        gridspec_kw={
            **{"left": 0.1 / width, "right": 1 - _BAR / width, "wspace": 0.06},
            **{"bottom": 0.1 / height, "top": 1 - 0.7 / height, "hspace": (words + 0.25) / _PANEL},
        },
    )
    return figure, panels


def _colour_bar(figure: Any, shown: Any) -> None:
    """To the right of the lower panels: what the colours of the differences mean."""
    width, height = figure.get_size_inches()
    place = (1 - 0.9 * _BAR / width, 0.3 / height, 0.13 / width, (_PANEL - 0.4) / height)
    bar = figure.colorbar(shown, cax=figure.add_axes(place))
    bar.set_label("grey levels of 0 to 255", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _below(one: Rebuilt, image: NDArray[np.uint8], inside: NDArray[np.bool_]) -> list[str]:
    """What stands under a panel: how far it is from the image, and the words."""
    error = np.abs(one.pixels.astype(float) - image)[inside].mean()
    words = textwrap.wrap(one.words, _CHARACTERS, max_lines=_LINES, placeholder=" …")
    return [f"mean error inside the outline: {error:.1f}", *words]


def _pixels_of(patches: NDArray[np.int64], grid: int, side: int) -> NDArray[np.bool_]:
    """(S, S), True on the pixels of the patches."""
    inside = np.zeros(grid * grid, bool)
    inside[patches] = True
    return inside.reshape(grid, grid).repeat(side // grid, 0).repeat(side // grid, 1)


def _show(
    panel: Any, pixels: NDArray[np.generic], title: str, key: NDArray[np.int64], grid: int
) -> None:
    panel.set_axis_off()
    show_view(panel, pixels, "frontal", grid)
    words = textwrap.fill(title, _TITLE)
    panel.set_title(words, fontsize=8.5, loc="left", parse_math=False)
    _outline(panel, key, grid)


def _outline(panel: Any, key: NDArray[np.int64], grid: int) -> None:
    """Draws the border of the key patches, and not the lines between two of them."""
    inside = np.zeros((grid + 2, grid + 2), bool)
    inside[1 + key // grid, 1 + key % grid] = True
    for row, column in np.argwhere(inside[1:, 1:-1] != inside[:-1, 1:-1]):
        panel.plot([column, column + 1], [row, row], color=_OUTLINE, linewidth=1.2)
    for row, column in np.argwhere(inside[1:-1, 1:] != inside[1:-1, :-1]):
        panel.plot([column, column], [row, row + 1], color=_OUTLINE, linewidth=1.2)
    panel.set_xlim(0, grid)
    panel.set_ylim(grid, 0)
