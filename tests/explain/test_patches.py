"""Figure 8: the key patches of all landmarks on a chest X-ray."""

import sys

import numpy as np
import pytest
from PIL import Image

from kia.errors import MissingDependency
from kia.explain.patches import draw_key_patches
from kia.knowledge.atlas import LANDMARKS, shipped_atlas

GREY = np.full((64, 64), 100, np.uint8)


def test_every_panel_marks_20_of_196_patches_and_the_right_lung_on_its_left_half(tmp_path):
    pytest.importorskip("matplotlib")
    file = tmp_path / "8.png"
    draw_key_patches(GREY, shipped_atlas(), file, dpi=60)
    red, _, blue = np.asarray(Image.open(file).convert("RGB")).astype(int).transpose(2, 0, 1)
    marked, grey = red > blue + 60, (abs(red - 100) < 2) & (abs(blue - 100) < 2)
    assert marked.sum() / (marked.sum() + grey.sum()) == pytest.approx(20 / 196, rel=0.03)
    assert LANDMARKS[0] == "right lung"
    panel = marked[: len(marked) // 5, : marked.shape[1] // 7]
    half = panel.shape[1] // 2
    assert panel[:, :half].sum() > 20 * panel[:, half:].sum()


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependency, match=r"pip install 'kia\[plots\]'"):
        draw_key_patches(GREY, shipped_atlas(), tmp_path / "8.png")
    assert not (tmp_path / "8.png").exists()
