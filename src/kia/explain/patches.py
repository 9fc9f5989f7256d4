"""Key patches of landmarks and what masking hides, on a chest X-ray (Paper: Fig. 3, Fig. 8).

Shape letters: S side of an image in pixels, N patches, grid² = N.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.config import MaskedImageConfig
from kia.errors import require
from kia.explain.heat_maps import show_view
from kia.knowledge.atlas.places import LANDMARKS, Atlas
from kia.knowledge.masks.image import anatomy_image_mask, general_image_mask

_COLUMNS = 7
_PANEL, _TITLE = 2.0, 0.36  # inches
_KEY = (1.0, 0.45, 0.1, 0.55)
_HIDDEN = (0.25, 0.45, 0.75, 1.0)  # blue beside orange is told apart with any colour vision
_DRAWS = 3


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
    rows = -(-len(LANDMARKS) // _COLUMNS)
    figure, panels = _panels(rows, _COLUMNS)
    for panel, name in zip(panels.flat, LANDMARKS, strict=False):
        show_view(panel, pixels, "frontal")
        key = atlas.key_patches(name, grid)
        _cover(panel, np.isin(np.arange(grid * grid), key), _KEY)
        panel.set_title(name, fontsize=9)
    count = len(atlas.key_patches(LANDMARKS[0], grid))
    what = f"key patches of each landmark: {count} of {grid} × {grid}"
    figure.suptitle(f"{what}; R: the patient's right", fontsize=10)
    figure.savefig(path, dpi=dpi, format="png")


def draw_masked_versions(
    pixels: NDArray[np.uint8],
    atlas: Atlas,
    landmarks: Sequence[str],
    path: str | Path,
    *,
    grid: int = 14,
    seed: int = 0,
    dpi: int = 150,
) -> None:
    """Writes a PNG of the image as MIM hides it: general masks above, by anatomy below.

    Args:
        pixels: (S, S) grey frontal chest X-ray, patient right on image left.
        atlas: Where the landmarks lie.
        landmarks: That its report mentions.
        path: Of the PNG.
        grid: Patches a side.
        seed: Of the draws.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    settings = MaskedImageConfig()
    p_total, p_key = settings.p_total, settings.p_key
    key = np.zeros(grid * grid, np.bool_)
    for name in landmarks:
        key[atlas.key_patches(name, grid)] = True
    draws = np.random.default_rng(seed).random((_DRAWS, grid * grid))
    general = general_image_mask(draws, p_total)
    anatomy = anatomy_image_mask(draws, key, p_key=p_key, p_total=p_total)
    figure, panels = _panels(2, 1 + _DRAWS)
    show_view(panels[0, 0], pixels, "frontal")
    panels[0, 0].set_title("image", fontsize=9)
    show_view(panels[1, 0], pixels, "frontal")
    _cover(panels[1, 0], key, _KEY)
    panels[1, 0].set_title(f"{key.sum()} key patches of {key.size}", fontsize=9)
    for row, name, masks in ((0, "general", general), (1, "anatomy", anatomy)):
        for panel, mask in zip(panels[row, 1:], masks, strict=True):
            show_view(panel, pixels, "frontal")
            _cover(panel, mask, _HIDDEN)
            share = f"\n{mask[key].mean():.0%} of key patches" if key.any() else ""
            panel.set_title(f"{name}: {mask.mean():.0%} hidden{share}", fontsize=8)
    wanted = f"{p_total:.0%} hidden in the mean, by anatomy {p_key:.0%} of key patches"
    figure.suptitle(f"masked versions: {wanted}; R: the patient's right", fontsize=10)
    figure.savefig(path, dpi=dpi, format="png")


def _panels(rows: int, columns: int) -> tuple[Any, Any]:
    """A figure and its (rows, columns) axes, with a line for the title above all."""
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    width, height = columns * _PANEL, rows * (_PANEL + _TITLE) + _TITLE
    figure = Figure(figsize=(width, height))
    spacing = {"left": 0.005, "right": 0.995, "bottom": 0.005, "wspace": 0.04}
    spacing |= {"top": 1 - 2 * _TITLE / height, "hspace": _TITLE / _PANEL}
    panels = figure.subplots(rows, columns, squeeze=False, gridspec_kw=spacing)
    for panel in panels.flat:
        panel.set_axis_off()
    return figure, panels


def _cover(panel: Any, patches: NDArray[np.bool_], colour: tuple[float, ...]) -> None:
    """Colours some of the patches (N,)."""
    overlay = np.zeros((len(patches), 4))
    overlay[patches] = colour
    grid = round(len(patches) ** 0.5)
    square = overlay.reshape(grid, grid, 4)
    panel.imshow(square, extent=(0, 1, 1, 0), interpolation="nearest")
