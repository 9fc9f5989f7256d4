"""Is one system better than another on the same studies?

The interval of a difference comes from a paired bootstrap (both systems on the same draws of
studies), its p-value from approximate randomisation: reports of the two systems are swapped study
by study at random, as if it did not matter who wrote them. Sources: Koehn, EMNLP 2004; Riezler and
Maxwell, ACL Workshop on MT Evaluation 2005. Of several such questions Holm's correction keeps the
chance of even one false answer (Holm, Scandinavian Journal of Statistics 1979).
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from kia.errors import DataError
from kia.evaluation.statistics.intervals import (
    RESAMPLES,
    Measure,
    percentile_interval,
    resampled_sums,
)


class Difference(TypedDict):
    """This system's score minus the other's.

    Attributes:
        difference: Of the scores of all studies.
        interval: 95 % interval of the difference, (low, high).
        p_value: Two-sided, never 0: at least 1 / (resamples + 1).
    """

    difference: float
    interval: tuple[float, float]
    p_value: float


def all_differences(
    ours: Mapping[str, Measure],
    theirs: Mapping[str, Measure],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """`paired_differences` of the measures that both systems have, by "path.name".

    Args:
        ours: Path → measure of this system.
        theirs: The same of the other one; a measure of another shape is left out.
        resamples: As below.
        seed: As below.
    """
    return {
        f"{path}.{name}": difference
        for path, measure in ours.items()
        if path in theirs and theirs[path].statistics.shape == measure.statistics.shape
        for name, difference in paired_differences(
            measure, theirs[path], resamples=resamples, seed=seed
        ).items()
    }


def paired_differences(
    ours: Measure, theirs: Measure, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """Differences of all scores that both systems have.

    Args:
        ours: Measure of this system.
        theirs: The same measure of the other one, over the same studies in the same order.
        resamples: Draws of the bootstrap, and of the randomisation.
        seed: Seed of both.

    Raises:
        DataError: The statistics differ in shape.
    """
    if ours.statistics.shape != theirs.statistics.shape:
        raise DataError(
            f"two systems can be compared on the same studies only, not on "
            f"{len(ours.statistics)} and {len(theirs.statistics)}"
        )
    values, others = ours.values(), theirs.values()
    drawn = _difference(
        ours,
        resampled_sums(ours.statistics, resamples=resamples, seed=seed),
        resampled_sums(theirs.statistics, resamples=resamples, seed=seed),
    )
    swapped = _difference(ours, *_swapped_sums(ours, theirs, resamples, seed))
    found: dict[str, Difference] = {}
    for name in drawn:
        difference = values[name] - others[name]
        # rounding must not make an equal difference look smaller
        as_large = np.abs(swapped[name]) >= abs(difference) - 1e-12
        found[name] = {
            "difference": difference,
            "interval": percentile_interval(drawn[name]),
            "p_value": float((as_large.sum() + 1) / (resamples + 1)),
        }
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for being several, in their order: the step-down method of Holm (1979).

    The smallest of m is multiplied by m, the next by m - 1 …; none becomes smaller than one before
    it, or larger than 1.
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[place]))
        corrected[place] = highest
    return corrected


def _difference(measure: Measure, ours: np.ndarray, theirs: np.ndarray) -> dict[str, np.ndarray]:
    values, others = measure.formula(ours), measure.formula(theirs)
    return {name: values[name] - others[name] for name in values}


def _swapped_sums(
    ours: Measure, theirs: Measure, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of both systems, (R, k) each, after random swaps of studies."""
    rng = np.random.default_rng([seed, 1])  # other draws than the bootstrap's
    moved = theirs.statistics - ours.statistics
    swaps = rng.integers(2, size=(resamples, len(moved))).astype(float)
    shift = swaps @ moved
    return ours.statistics.sum(0) + shift, theirs.statistics.sum(0) - shift
