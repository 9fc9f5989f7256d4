"""Random numbers that depend on what they are for, not on what was drawn before.

A sample's augmentation and masks are functions of (seed, epoch, study), so they do not depend
on workers, batch order, or whether the run was interrupted.
"""

import numpy as np
from numpy.typing import NDArray

_WEYL = np.uint64(0x9E3779B97F4A7C15)


def _scramble(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014): a bijection that mixes all bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def uniforms(
    seed: int, epoch: int, studies: NDArray[np.int64], purpose: str, count: int
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for each study.

    Args:
        seed: Of the run.
        epoch: Of the run, counted over both stages.
        studies: (B,) study numbers in the prepared data set.
        purpose: What they are for ("augment", "mim", "mlm"): different names, different numbers.
        count: Numbers a study.

    Returns:
        (B, count).
    """
    key = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):
        for part in (seed, epoch, *purpose.encode()):
            key = _scramble((key + np.uint64(part)) * _WEYL + _WEYL)
        rows = _scramble((key + studies.astype(np.uint64)) * _WEYL + _WEYL)
        steps = np.arange(1, count + 1, dtype=np.uint64) * _WEYL
        bits = _scramble(rows[:, None] + steps)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
