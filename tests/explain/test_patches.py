"""Figure 8: the key patches of all landmarks on a chest X-ray."""

import sys

import numpy as np
import pytest
from PIL import Image

from kia.errors import MissingDependency
from kia.explain.patches import draw_key_patches, draw_masked_versions
from kia.knowledge.atlas.places import LANDMARKS, shipped_atlas

GREY = np.full((64, 64), 100, np.uint8)


def test_every_panel_marks_20_of_196_patches_and_the_right_lung_on_its_left_half(tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "8.png"
    draw_key_patches(GREY, shipped_atlas(), file, dpi=60)
    red, _, blue = np.asarray(Image.open(file).convert("RGB")).astype(int).transpose(2, 0, 1)
    marked, grey = red > blue + 60, (abs(red - 100) < 2) & (abs(blue - 100) < 2)
    assert marked.sum() / (marked.sum() + grey.sum()) == pytest.approx(20 / 196, rel=0.03)
    assert LANDMARKS[0] == "right lung"
    panel = marked[: len(marked) // 5 + 20, : marked.shape[1] // 7]
    half = panel.shape[1] // 2
    assert panel[:, :half].sum() > 20 * panel[:, half:].sum()


def test_masks_by_anatomy_hide_as_much_as_general_ones_and_more_of_the_landmark(tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "masked.png"
    draw_masked_versions(GREY, shipped_atlas(), ["right lung"], file, dpi=100)
    red, green, blue = np.asarray(Image.open(file).convert("RGB")).astype(int).transpose(2, 0, 1)
    hidden = (abs(red - 64) < 3) & (abs(green - 115) < 3) & (abs(blue - 191) < 3)
    seen = (abs(red - 100) < 2) & (abs(green - 100) < 2) & (abs(blue - 100) < 2)
    rows, columns = (
        np.array_split(np.arange(len(red)), 2),
        np.arange(red.shape[1] // 4, red.shape[1]),
    )
    for row in rows:  # of three draws with 196 patches each: 60 % within four deviations
        shown = np.ix_(row, columns)
        share = hidden[shown].sum() / (hidden[shown].sum() + seen[shown].sum())
        assert share == pytest.approx(0.6, abs=0.08)
    key = (red > blue + 60)[rows[1]][:, : red.shape[1] // 4]
    assert key.sum() > 20 * (red > blue + 60)[rows[0]].sum()
    # the same place in the panels to the right: 90 % of it is hidden, above about 60 %
    width = red.shape[1] / 4
    y, x = np.nonzero(key)
    below = [
        hidden[rows[1]][y, (x + round(k * width)).clip(0, red.shape[1] - 1)] for k in (1, 2, 3)
    ]
    assert np.mean(below) > 0.75


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install 'kia\[plots\]'"):
        draw_key_patches(GREY, shipped_atlas(), tmp_path / "8.png")
    assert not (tmp_path / "8.png").exists()
