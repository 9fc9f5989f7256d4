"""Thumbnails of X-rays, and a Gaussian of those of a view.

16 × 16 grey values are replaced by their ranks, so that exposure and contrast do not matter. The
misfit of a picture is the logarithm of its squared Mahalanobis distance, with principal components
and isotropic noise (probabilistic PCA: Tipping and Bishop 1999). A turned, mirrored or inverted
thumbnail is a thumbnail too, so one Gaussian tells which way round a picture fits best.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kia.studies import View

SIDE = 16
"""Of a thumbnail, pixels."""
COMPONENTS = 48
"""Principal components a view."""

Pixels = NDArray[np.uint8]
Rows = NDArray[np.float64]


class Change(NamedTuple):
    """What is done to a picture, and the view that it is then compared with.

    Attributes:
        view: "frontal" or "lateral".
        turns: Quarter turns counterclockwise, 0 to 3.
        inverted: Bright and dark change places.
        mirrored: Left and right change places, after turning; always False for lateral views,
            which face either side.
    """

    view: View
    turns: int = 0
    inverted: bool = False
    mirrored: bool = False


class ViewModel:
    """Gaussian of the thumbnails of one view.

    Args:
        mean: (256,)
        components: (48, 256), orthonormal.
        variances: (48,) along the components.
        noise: Variance in every other direction.
    """

    def __init__(self, mean: Rows, components: Rows, variances: Rows, noise: float) -> None:
        self.mean, self.components, self.variances = mean, components, variances
        self.noise = noise
        rest = len(mean) - len(variances)
        self._volume = (np.log(variances).sum() + rest * np.log(noise)) / len(mean)

    @classmethod
    def fit(cls, rows: Rows, view: View) -> Self:
        """Maximum likelihood for `ranked` thumbnails (n, 256), lateral ones made to face alike."""
        model = cls._fit(rows)
        for _ in range(2 if view == "lateral" else 0):
            mirrored = _mirrored(rows)
            better = model.misfit(mirrored) < model.misfit(rows)
            rows = np.where(better[:, None], mirrored, rows)
            model = cls._fit(rows)
        return model

    @classmethod
    def _fit(cls, rows: Rows) -> Self:
        mean = rows.mean(axis=0)
        variances, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        noise = max(float(variances[:-COMPONENTS].mean()), 1e-9)
        kept = np.maximum(variances[-COMPONENTS:], noise)
        return cls(mean, np.ascontiguousarray(vectors[:, -COMPONENTS:].T), kept, noise)

    def misfit(self, rows: Rows) -> Rows:
        """(n,) for `ranked` thumbnails (n, 256)."""
        centred = rows - self.mean
        along = centred @ self.components.T
        across = (centred**2).sum(axis=1) - (along**2).sum(axis=1)
        distance = (along**2 / self.variances).sum(axis=1) + across / self.noise
        return np.asarray(np.log(distance / rows.shape[1]) + self._volume)


def thumbnail(square: Pixels) -> Pixels:
    """uint8 (16, 16) of a square picture, uint8 (S, S)."""
    picture = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def ranked(small: Pixels) -> Rows:
    """Ranks of the grey values of thumbnails, (n, 16, 16) → (n, 256); mean 0, variance 1.

    Equal values share their mean rank, so an inverted thumbnail has the negative ranks.
    """
    flat = small.reshape(len(small), -1)
    ranks = np.empty(flat.shape)
    for row, values in zip(ranks, flat, strict=True):
        order = np.sort(values)
        row[:] = np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")
    ranks -= ranks.mean(axis=1, keepdims=True)
    return np.asarray(ranks / np.maximum(ranks.std(axis=1, keepdims=True), 1e-9))


def _mirrored(rows: Rows) -> Rows:
    return rows.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(rows.shape)


def all_misfits(models: Mapping[View, ViewModel], rows: Rows) -> dict[Change, Rows]:
    """(n,) for each change of ranked thumbnails (n, 256)."""
    misfits = {}
    for turns in range(4):
        turned = np.rot90(rows.reshape(-1, SIDE, SIDE), turns, (1, 2)).reshape(rows.shape)
        for inverted in (False, True):
            upright = -turned if inverted else turned
            for view, model in models.items():
                plain, mirrored = model.misfit(upright), model.misfit(_mirrored(upright))
                if view == "lateral":
                    misfits[Change(view, turns, inverted)] = np.minimum(plain, mirrored)
                else:
                    misfits[Change(view, turns, inverted)] = plain
                    misfits[Change(view, turns, inverted, mirrored=True)] = mirrored
    return misfits
