"""Counted random numbers: uniform, independent, and the same whatever is drawn around them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.data.counted import uniforms

STUDIES = np.arange(400)


def draw(seed=0, epoch=0, studies=STUDIES, purpose="mim", count=500):
    return uniforms(seed, epoch, np.asarray(studies, np.int64), purpose, count)


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (7, 0), (2**40, 44)])
def test_numbers_are_uniform_in_0_to_1(seed, epoch):
    x = draw(seed, epoch)
    assert x.shape == (400, 500) and x.min() >= 0 and x.max() < 1
    n = x.size
    assert abs(x.mean() - 0.5) < 5 / np.sqrt(12 * n)
    assert x.var() == pytest.approx(1 / 12, rel=0.01)
    # chi-square of 100 bins: mean 99, standard deviation √198
    counts = np.histogram(x, 100, (0, 1))[0]
    chi_square = ((counts - n / 100) ** 2 / (n / 100)).sum()
    assert abs(chi_square - 99) < 6 * np.sqrt(198)


def correlation(x, y):
    return np.corrcoef(x.ravel(), y.ravel())[0, 1]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (draw(), draw(purpose="mlm")),
        (draw(), draw(epoch=1)),
        (draw(), draw(seed=1)),
        (draw(seed=1), draw(epoch=1)),
        (draw()[:-1], draw()[1:]),
        (draw()[:, :-1], draw()[:, 1:]),
        (draw()[:-1, 1:], draw()[1:, :-1]),
    ],
    ids=["purposes", "epochs", "seeds", "seed for epoch", "studies", "numbers", "diagonal"],
)
def test_neighbours_do_not_correlate(x, y):
    assert abs(correlation(x, y)) < 5 / np.sqrt(x.size)
    # pairs fill the unit square evenly: 100 cells, 99 degrees of freedom
    cells = np.histogram2d(x.ravel(), y.ravel(), 10, [(0, 1), (0, 1)])[0]
    chi_square = ((cells - x.size / 100) ** 2 / (x.size / 100)).sum()
    assert abs(chi_square - 99) < 6 * np.sqrt(198)


def test_no_two_numbers_are_equal():
    many = np.concatenate([draw().ravel(), draw(epoch=1).ravel(), draw(purpose="augment").ravel()])
    # 600 000 of 2⁵³ values: a collision has probability 2·10⁻⁵
    assert len(np.unique(many)) == many.size


@settings(max_examples=40, deadline=None)
@given(
    studies=st.lists(st.integers(0, 2**40), min_size=1, max_size=12, unique=True),
    count=st.integers(1, 20),
    more=st.integers(0, 20),
    data=st.data(),
)
def test_a_study_s_numbers_do_not_depend_on_the_batch_or_on_how_many_are_drawn(
    studies, count, more, data
):
    shuffled = data.draw(st.permutations(studies))
    together = dict(zip(shuffled, draw(studies=shuffled, count=count + more), strict=True))
    for study in studies:
        alone = draw(studies=[study], count=count)[0]
        assert np.array_equal(alone, together[study][:count])
