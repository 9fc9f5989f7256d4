"""Drawings that pass for chest X-rays, and what a model would have learnt from them."""

from collections.abc import Callable

import numpy as np
import pytest

from kia.imaging.plausibility import Reference
from kia.imaging.plausibility.thumbnails import thumbnail

SIZE = 32
Y, X = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]

Draw = Callable[[str, int, int], np.ndarray]


def ellipse(x, y, width, height):
    return ((X - x) / width) ** 2 + ((Y - y) / height) ** 2 < 1


def drawn(view: str, rng: np.random.Generator) -> np.ndarray:
    """A torso with lungs and a heart, or seen from the side, uint8 (32, 32)."""

    def near(*values: float) -> list[float]:
        return [value + rng.normal(0, 0.03) for value in values]

    grey = np.full((SIZE, SIZE), 20.0)
    if view == "frontal":
        grey[ellipse(*near(0, 0.1, 0.9, 1.1))] = 170
        for side in (-0.4, 0.4):
            grey[ellipse(*near(side, -0.15, 0.28, 0.55))] = 70
        grey[ellipse(*near(0.15, 0.2, 0.35, 0.3))] = 210  # the heart, on the image's right
    else:
        grey[ellipse(*near(0.1, 0.1, 0.65, 1.1))] = 170
        grey[ellipse(*near(0.0, -0.2, 0.45, 0.5))] = 70
        grey[np.abs(X - rng.normal(0.5, 0.03)) < 0.1] = 230
        if rng.random() < 0.5:
            grey = grey[:, ::-1]  # facing the other side
    return np.clip(grey + rng.normal(0, 4, grey.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """`draw(view, number, seed)`: uint8 (number, 32, 32)."""

    def many(view: str, number: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.stack([drawn(view, rng) for _ in range(number)])

    return many


@pytest.fixture(scope="session")
def reference(draw: Draw) -> Reference:
    views = ("frontal", "lateral")
    found = Reference.learn({v: np.stack([thumbnail(x) for x in draw(v, 240, 0)]) for v in views})
    assert found
    return found
