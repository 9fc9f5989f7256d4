"""Key patches of the 34 landmarks drawn on a chest X-ray (Paper: App. A, Fig. 8)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kia.errors import require
from kia.knowledge.atlas import LANDMARKS, Atlas

_COLUMNS = 7
_PANEL = 2.0  # inches
_COLOUR = (1.0, 0.45, 0.1)


def draw_key_patches(
    pixels: NDArray[np.uint8], atlas: Atlas, path: str | Path, *, grid: int = 14, dpi: int = 150
) -> None:
    """Writes a PNG with one panel for each landmark.

    Args:
        pixels: (S, S) grey frontal chest X-ray, patient right on image left.
        atlas: Where the landmarks lie.
        path: Of the PNG.
        grid: Patches a side.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    rows = -(-len(LANDMARKS) // _COLUMNS)
    figure = Figure(figsize=(_COLUMNS * _PANEL, rows * _PANEL))
    spacing = {"left": 0.005, "right": 0.995, "bottom": 0.005, "top": 0.97}
    panels = figure.subplots(rows, _COLUMNS, gridspec_kw={**spacing, "wspace": 0.04}).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, name in zip(panels, LANDMARKS, strict=False):
        overlay = np.zeros((grid, grid, 4))
        overlay.reshape(-1, 4)[atlas.key_patches(name, grid)] = (*_COLOUR, 0.55)
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, grid, grid, 0))
        panel.imshow(overlay, extent=(0, grid, grid, 0), interpolation="nearest")
        panel.set_title(name, fontsize=9)
    figure.savefig(path, dpi=dpi, format="png")
