"""How well maps fit where findings are: measures on arrays.

Shape letters: F findings, S side of an image in pixels, N patches or other cells of a map,
grid² = N, T thresholds.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kia.errors import UsageError
from kia.knowledge.atlas.landmarks import key_patches
from kia.knowledge.masks.image import study_key_patches

THRESHOLDS = np.arange(1, 20) / 20
"""(T,) shares of a map's highest value, above which a cell counts as chosen for `overlap`."""


def patch_coverage(masks: NDArray[np.bool_], grid: int) -> NDArray[np.float64]:
    """Share of each patch's pixels that lie inside the mask.

    Args:
        masks: (F, S, S), True on the pixels of a finding.
        grid: Patches a side; must divide S.

    Returns:
        (F, N), row by row.
    """
    size = _patch_size(masks, grid)
    cut = masks.reshape(len(masks), grid, size, grid, size)
    return cut.mean(axis=(2, 4)).reshape(len(masks), -1)


def patch_centres(masks: NDArray[np.bool_], grid: int) -> NDArray[np.bool_]:
    """(F, N), True where the centre of a patch lies inside the mask (F, S, S).

    The centre is pixel (p // 2, p // 2) of the p × p of a patch.
    """
    size = _patch_size(masks, grid)
    return masks[:, size // 2 :: size, size // 2 :: size].reshape(len(masks), -1)


def attention_inside(
    attention: NDArray[np.floating], coverage: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of the attention that falls on pixels of the finding.

    Attention spreads evenly over the pixels of a patch, so attention that is the same everywhere
    gives the mask's share of the image, `coverage.mean(1)`; the ratio to it is the lift.

    Args:
        attention: (F, N), not negative, on any scale.
        coverage: (F, N), from `patch_coverage`.

    Returns:
        (F,), 0 to 1.
    """
    shares: NDArray[np.float64] = (attention * coverage).sum(1) / attention.sum(1)
    return shares


def overlap(values: NDArray[np.floating], coverage: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of a finding with the cells of at least a share of the maximum.

    Args:
        values: (F, N), not negative.
        coverage: (F, N), from `patch_coverage`.

    Returns:
        (F, T), for each of THRESHOLDS; area is counted in pixels.
    """
    limits = THRESHOLDS[:, None] * values.max(axis=1)[:, None, None]
    chosen = values[:, None, :] >= limits
    both = (chosen * coverage[:, None, :]).sum(-1)
    shares: NDArray[np.float64] = both / (chosen.sum(-1) + coverage.sum(1)[:, None] - both)
    return shares


def points_inside(values: NDArray[np.floating], centres: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The pointing game: whether the patch of highest value has its centre inside the finding.

    After Zhang et al. 2018, "Top-down neural attention by excitation backprop", without their
    tolerance of 15 pixels.

    Args:
        values: (F, N).
        centres: (F, N), from `patch_centres`.

    Returns:
        (F,): 1 or 0; where several patches share the highest value, the mean over these, which is
        what a choice among them by chance gives.
    """
    highest = values == values.max(axis=1, keepdims=True)
    return (highest & centres).sum(1) / highest.sum(1)


def atlas_prior(
    landmarks: Sequence[str], grid: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the atlas alone expects of a sentence that names these landmarks, without the image.

    Args:
        landmarks: Of `mentioned_landmarks`; without any, the whole image is expected.
        grid: Patches a side of a frontal image.

    Returns:
        Two maps (N,) of zeros and ones: the merged key patches, for `attention_inside`; and each
        landmark's key patch of highest coverage, for `points_inside`.
    """
    merged = study_key_patches(landmarks, ["frontal"], grid)[0]
    points = np.zeros_like(merged)
    points[[key_patches(name, grid)[0] for name in landmarks]] = True
    everywhere = not landmarks
    return (merged | everywhere).astype(np.float64), (points | everywhere).astype(np.float64)


def _patch_size(masks: NDArray[np.bool_], grid: int) -> int:
    size, rest = divmod(masks.shape[-1], grid)
    if rest or not size:
        raise UsageError(f"{grid} patches a side do not divide a mask of {masks.shape[-1]} pixels")
    return size
