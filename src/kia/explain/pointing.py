"""How well answers and attention fit what is true: measures on arrays, by observation or finding.

Shape letters: n studies, K observations, F findings, S side of an image in pixels, N patches,
grid² = N.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kia.errors import UsageError
from kia.knowledge.image_masking import study_key_patches
from kia.knowledge.landmarks import key_patches


def sensitivity_specificity(
    called: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Share of present ones called present, and of absent ones called absent.

    Their mean is the balanced accuracy: 1/2 for any answer that is the same for all studies.

    Args:
        called: (n, K), True where the model says present.
        truth: (n, K), True where it is present.

    Returns:
        (2, K); NaN where no study is present, or absent.
    """
    pairs = ((called & truth, truth), (~called & ~truth, ~truth))
    with np.errstate(invalid="ignore"):
        return np.stack([right.sum(0) / of.sum(0) for right, of in pairs])


def auroc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of pairs of a present and an absent study that the scores order rightly.

    Half of a tie counts (Mann and Whitney 1947). Unlike accuracy it needs no threshold.

    Args:
        scores: (n, K), higher where present is likelier.
        truth: (n, K), True where it is present.

    Returns:
        (K,); NaN where all studies are present, or all absent.
    """
    areas = []
    for score, present in zip(scores.T, truth.T, strict=True):
        difference = score[present][:, None] - score[~present]
        pairs = (difference > 0) + (difference == 0) / 2
        areas.append(pairs.mean() if pairs.size else np.nan)
    return np.array(areas)


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
