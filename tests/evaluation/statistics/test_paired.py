"""Two systems on the same studies. Expected numbers: enumeration and formulas of statistics."""

from itertools import product

import numpy as np
import pytest

from kia.errors import DataError
from kia.evaluation.statistics.intervals import Measure
from kia.evaluation.statistics.paired import paired_differences


def mean(values: list[float]) -> Measure:
    rows = np.column_stack([values, np.ones(len(values))])
    return Measure(rows, lambda sums: {"mean": sums[:, 0] / sums[:, 1]})


def test_the_p_value_is_that_of_all_swaps() -> None:
    """Reference: the exact test over all 2⁸ swaps."""
    ours, theirs = [9, 5, 7, 3, 8, 6, 9, 4], [7, 6, 5, 3, 6, 5, 7, 5]
    gaps = np.subtract(ours, theirs)
    swaps = np.array(list(product([1, -1], repeat=8)))
    exact = (np.abs(swaps @ gaps) >= abs(gaps.sum())).mean()
    found = paired_differences(mean(ours), mean(theirs), resamples=20_000)["mean"]
    assert found["difference"] == pytest.approx(gaps.mean())
    assert found["p_value"] == pytest.approx(exact, abs=0.01)


def test_the_interval_is_that_of_paired_studies() -> None:
    """A constant gap over noisy studies: no doubt, however much the studies differ."""
    noise = np.random.default_rng(0).normal(size=60)
    found = paired_differences(mean(list(noise + 0.5)), mean(list(noise)))["mean"]
    assert found["interval"] == pytest.approx((0.5, 0.5))
    assert found["p_value"] == pytest.approx(1 / 1001)


def test_equal_systems_differ_by_nothing() -> None:
    values = list(np.random.default_rng(0).normal(size=40))
    found = paired_differences(mean(values), mean(values))["mean"]
    assert found == {"difference": 0.0, "interval": (0.0, 0.0), "p_value": 1.0}


def test_swapping_the_systems_turns_the_sign() -> None:
    rng = np.random.default_rng(3)
    a, b = list(rng.normal(size=50)), list(rng.normal(size=50))
    there, back = paired_differences(mean(a), mean(b)), paired_differences(mean(b), mean(a))
    assert there["mean"]["difference"] == pytest.approx(-back["mean"]["difference"])
    assert there["mean"]["interval"] == pytest.approx([-x for x in back["mean"]["interval"][::-1]])
    assert there["mean"]["p_value"] == pytest.approx(back["mean"]["p_value"], abs=0.05)


def test_other_studies_are_refused() -> None:
    with pytest.raises(DataError, match="not on 2 and 3"):
        paired_differences(mean([1, 2]), mean([1, 2, 3]))
