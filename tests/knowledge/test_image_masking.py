"""Which patches are hidden: each with the same probability."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.knowledge.image_masking import general_image_mask


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
