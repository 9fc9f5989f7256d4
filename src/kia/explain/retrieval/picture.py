"""A query and the studies found for it, as a picture (Paper: App. C, Fig. 10)."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kia.data.store.dataset import PreparedDataset
from kia.errors import require
from kia.explain.heat_maps import show_view

_SIDE, _TEXT, _LINE = 1.9, 5.2, 0.165  # inches; a line is one of text
_CHARACTERS = 74  # of a line of text
_HEAD = 0.55
_QUERY = "#eaf2f8"


@dataclass(frozen=True)
class Shown:
    """A row of the picture.

    Attributes:
        title: Above the text.
        views: (S, S) grey values each; none for a text without an image.
        names: "frontal" or "lateral" for each view.
        text: A report; "" for an image without one.
    """

    title: str
    views: Sequence[NDArray[np.uint8]]
    names: Sequence[str]
    text: str

    @classmethod
    def of(
        cls,
        dataset: PreparedDataset,
        number: int,
        rank: str,
        match: float | None = None,
        similarity: float | None = None,
    ) -> Self:
        """A study of a data set under its rank, id, and what is known of how well it fits."""
        study = dataset.study(number)
        known = {"[MATCH]": match, "similarity": similarity}
        values = ", ".join(f"{k} {v:.2f}" for k, v in known.items() if v is not None)
        title = f"{rank} {study.id}{': ' if values else ''}{values}"
        return cls(title, list(dataset.pixels(number)), dataset.views(number), study.report)


def draw_retrieval(
    query: Shown, found: Sequence[Shown], path: str | Path, *, title: str = "", dpi: int = 150
) -> None:
    """Writes a PNG: the query on top, a row for each study that was found below.

    Args:
        query: On a shaded ground.
        found: Best first.
        path: Of the PNG.
        title: Above everything.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    rows = [query, *found]
    lines = [_lines(row.text) for row in rows]
    heights = [
        max(_SIDE if row.views else 0, 0.45 + _LINE * len(words)) + 0.15
        for row, words in zip(rows, lines, strict=True)
    ]
    most = max(len(row.views) for row in rows)
    width, height = most * _SIDE + _TEXT + 0.3, sum(heights) + _HEAD
    figure = Figure(figsize=(width, height))
    figure.text(0.1 / width, 1 - 0.12 / height, title, fontsize=11, va="top")
    top = height - _HEAD
    for number, (row, words, tall) in enumerate(zip(rows, lines, heights, strict=True)):
        whole = figure.add_axes((0, (top - tall) / height, 1, tall / height))
        whole.set_axis_off()
        if not number:
            whole.add_patch(_ground(whole))
        for place, (pixels, name) in enumerate(zip(row.views, row.names, strict=True)):
            left, low = 0.1 + place * _SIDE, top - 0.07 - _SIDE
            size = (_SIDE - 0.1, _SIDE - 0.1)
            box = (left / width, (low + 0.05) / height, size[0] / width, size[1] / height)
            panel = figure.add_axes(box)
            panel.set_axis_off()
            show_view(panel, pixels, name)
        at = (most * _SIDE + 0.2) / width
        look: dict[str, Any] = {"va": "top", "parse_math": False}  # $ starts no formula
        whole.text(at, 1 - 0.12 / tall, row.title, fontsize=9, weight="bold", **look)
        whole.text(at, 1 - 0.4 / tall, "\n".join(words), fontsize=8.5, linespacing=1.25, **look)
        top -= tall
    figure.savefig(path, dpi=dpi, format="png")


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _CHARACTERS)


def _ground(axes: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, color=_QUERY, zorder=-1)
