"""Which patches of an image are hidden (Paper: Sec. 3.2, Eq. 2-3).

General masking hides every patch with the same probability, as SimMIM does. Anatomy-guided masking
hides the key patches of the landmarks that the report mentions more often than the rest, and hides
as many in the mean.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kia.errors import UsageError
from kia.knowledge.atlas.landmarks import key_patches
from kia.studies import View


def general_image_mask(draws: NDArray[np.float64], p_total: float) -> NDArray[np.bool_]:
    """Hides each patch independently with probability `p_total`.

    Args:
        draws: (…, N) uniform numbers in [0, 1).
        p_total: Expected share of hidden patches, 0 to 1 (Paper: Sec. 3.2, 0.6).

    Returns:
        (…, N), True where a patch is hidden.
    """
    return draws < p_total


def anatomy_image_mask(
    draws: NDArray[np.float64], key: NDArray[np.bool_], *, p_key: float, p_total: float
) -> NDArray[np.bool_]:
    """Hides key patches with probability `p_key`, others so that `p_total` are hidden in the mean.

    Args:
        draws: (…, N) uniform numbers in [0, 1).
        key: (…, N), True on key patches (`study_key_patches`).
        p_key: Probability of key patches, 0 to 1 (Paper: Sec. 3.2, 0.9).
        p_total: Expected share of hidden patches, 0 to 1 (Paper: Sec. 3.2, 0.6).

    Returns:
        (…, N), True where a patch is hidden.
    """
    return draws < anatomy_probabilities(key, p_key, p_total)


def study_key_patches(
    landmarks: Sequence[str], views: Sequence[View], grid: int = 14
) -> NDArray[np.bool_]:
    """The key patches of all landmarks that a report mentions, merged (Paper: Fig. 3).

    The atlas is of frontal images, so a lateral view has no key patches (ours; the paper does not
    tell views apart).

    Args:
        landmarks: Of `mentioned_landmarks`; may be empty.
        views: Of the study's W images.
        grid: Patches a side of an image, N = grid².

    Returns:
        (W, N), True on key patches.
    """
    key = np.zeros(grid * grid, np.bool_)
    for name in landmarks:
        key[key_patches(name, grid)] = True
    frontal = np.array([view == "frontal" for view in views], np.bool_)
    return frontal[:, None] & key


def anatomy_probabilities(
    key: NDArray[np.bool_], p_key: float, p_total: float
) -> NDArray[np.float64]:
    """Probability that each patch is hidden (Paper: Sec. 3.2, Eq. 2-3).

    p_other = (N · p_total − N_key · p_key) / (N − N_key), Eq. 3. Where that is no probability, it
    is clipped to 0 or 1 and p_key recomputed (ours; with the paper's 196, 0.6 and 0.9 from
    N_key = 131 on), so that the expected share stays p_total for any number of key patches. Without
    key patches every patch has p_total.

    Args:
        key: (…, N), True on key patches.
        p_key: Wanted probability of key patches, 0 to 1.
        p_total: Expected share of hidden patches, 0 to 1.

    Returns:
        (…, N), 0 to 1, with mean p_total over N.

    Raises:
        UsageError: A probability is outside 0 to 1.
    """
    for name, value in (("p_key", p_key), ("p_total", p_total)):
        if not 0 <= value <= 1:
            raise UsageError(f"{name} is {value}; a probability lies between 0 and 1")
    n = key.shape[-1]
    n_key = key.sum(axis=-1, keepdims=True)
    hidden = n * p_total
    others = np.maximum(n - n_key, 1)  # where all are key patches, p_other is used nowhere
    p_other = np.clip((hidden - n_key * p_key) / others, 0, 1)
    p_key_left = (hidden - (n - n_key) * p_other) / np.maximum(n_key, 1)
    return np.where(key, np.clip(p_key_left, 0, 1), p_other)
