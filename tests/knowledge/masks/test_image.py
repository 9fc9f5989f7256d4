"""Which patches are hidden: each with the same probability, or key patches more often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.errors import UsageError
from kia.knowledge.atlas.landmarks import key_patches
from kia.knowledge.masks.image import (
    anatomy_image_mask,
    anatomy_probabilities,
    general_image_mask,
    study_key_patches,
)

KEYS = st.integers(0, 196)
PROBABILITY = st.floats(0, 1)


@settings(max_examples=30, deadline=None)
@given(p=st.floats(0.01, 0.99), seed=st.integers(0, 2**32 - 1))
def test_the_share_of_hidden_patches_is_p_total(p, seed):
    draws = np.random.default_rng(seed).random((4, 2, 1000))
    hidden = general_image_mask(draws, p)
    assert hidden.shape == draws.shape
    # six standard deviations of 8000 Bernoulli draws
    assert abs(hidden.mean() - p) < 6 * np.sqrt(p * (1 - p) / draws.size)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20), st.floats(0, 1))
def test_each_patch_is_hidden_by_its_own_draw(draws, p):
    hidden = general_image_mask(np.array(draws), p)
    assert hidden.tolist() == [draw < p for draw in draws]


@pytest.mark.parametrize(("p", "all_hidden"), [(0.0, False), (1.0, True)])
def test_the_ends_hide_nothing_and_everything(p, all_hidden):
    draws = np.array([0.0, 0.5, 1 - 2.0**-53])
    assert general_image_mask(draws, p).tolist() == [all_hidden] * 3


def first(n_key: int, n: int = 196) -> np.ndarray:
    return np.arange(n) < n_key


@settings(max_examples=200, deadline=None)
@given(n_key=KEYS, p_key=PROBABILITY, p_total=PROBABILITY)
def test_the_expected_share_is_p_total_and_every_value_a_probability(n_key, p_key, p_total):
    p = anatomy_probabilities(first(n_key), p_key, p_total)
    assert ((p >= 0) & (p <= 1)).all()
    assert p.mean() == pytest.approx(p_total, abs=1e-9)


def test_the_papers_probabilities_for_every_number_of_key_patches():
    # Eq. 2-3 with N = 196, p_total = 0.6, p_key = 0.9: p_other would be negative from 131 on
    for n_key in range(197):
        key = first(n_key)
        p = anatomy_probabilities(key, 0.9, 0.6)
        assert p.mean() == pytest.approx(0.6)
        assert p[key] == pytest.approx(0.9 if n_key <= 130 else 196 * 0.6 / n_key)
        if n_key < 196:
            p_other = (196 * 0.6 - n_key * 0.9) / (196 - n_key)
            assert p[~key] == pytest.approx(max(p_other, 0), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(n_key=st.integers(1, 195), p_key=PROBABILITY, p_total=PROBABILITY)
def test_p_key_gives_way_only_where_the_others_are_at_an_end(n_key, p_key, p_total):
    key = first(n_key)
    p = anatomy_probabilities(key, p_key, p_total)
    low = max(0.0, (196 * p_total - (196 - n_key)) / n_key)  # the others all hidden
    high = min(1.0, 196 * p_total / n_key)  # the others all visible
    assert p[key] == pytest.approx(min(max(p_key, low), high), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(n_keys=st.lists(KEYS, min_size=1, max_size=5), p_key=PROBABILITY, p_total=PROBABILITY)
def test_every_image_of_a_batch_is_for_itself(n_keys, p_key, p_total):
    batch = np.stack([first(n) for n in n_keys])
    rows = [anatomy_probabilities(row, p_key, p_total) for row in batch]
    assert np.array_equal(anatomy_probabilities(batch, p_key, p_total), np.stack(rows))


@pytest.mark.parametrize(("landmarks", "view"), [((), "frontal"), (("right lung",), "lateral")])
def test_no_landmark_and_lateral_views_fall_back_to_p_total(landmarks, view):
    key = study_key_patches(landmarks, [view])
    assert np.array_equal(anatomy_probabilities(key, 0.9, 0.6), np.full((1, 196), 0.6))


def test_key_patches_of_all_landmarks_are_merged_on_frontal_views_only():
    names = ("right lung", "cardiac silhouette", "mediastinum")
    key = study_key_patches(names, ["lateral", "frontal", "frontal"])
    merged = set().union(*(key_patches(name).tolist() for name in names))
    assert not key[0].any()
    assert set(np.flatnonzero(key[1])) == set(np.flatnonzero(key[2])) == merged


def test_key_patches_are_hidden_with_p_key():
    key = first(60)
    draws = np.random.default_rng(0).random((4000, 196))
    hidden = anatomy_image_mask(draws, np.broadcast_to(key, draws.shape), p_key=0.9, p_total=0.6)
    # six standard deviations of the mean of Bernoulli draws
    assert abs(hidden[:, key].mean() - 0.9) < 6 * np.sqrt(0.9 * 0.1 / (4000 * 60))
    assert abs(hidden.mean() - 0.6) < 6 * np.sqrt(0.6 * 0.4 / draws.size)


@pytest.mark.parametrize(("p_key", "p_total"), [(1.1, 0.6), (0.9, -0.1), (float("nan"), 0.6)])
def test_what_is_no_probability_is_refused(p_key, p_total):
    with pytest.raises(UsageError, match="between 0 and 1"):
        anatomy_probabilities(first(20), p_key, p_total)
