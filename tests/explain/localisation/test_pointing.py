"""The measures of attention, with numbers computed by hand."""

import numpy as np
import pytest

from kia.errors import UsageError
from kia.explain.localisation.pointing import (
    THRESHOLDS,
    atlas_prior,
    attention_inside,
    overlap,
    patch_centres,
    patch_coverage,
    points_inside,
)
from kia.knowledge.atlas.places import shipped_atlas

# 4 × 4 pixels, 2 × 2 patches whose centres are the pixels (1, 1), (1, 3), (3, 1), (3, 3)
MASKS = np.array(
    [
        [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]],  # a pixel of each patch
        [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]],  # the right half, not its end
    ]
).astype(bool)


def test_patches_and_their_centres_row_by_row():
    np.testing.assert_array_equal(
        patch_coverage(MASKS, 2), [[1 / 4, 1 / 4, 1 / 4, 1 / 4], [0, 1, 0, 1 / 4]]
    )
    np.testing.assert_array_equal(patch_centres(MASKS, 2), [[1, 0, 0, 0], [0, 1, 0, 0]])


def test_a_grid_that_does_not_divide_the_image_is_refused():
    with pytest.raises(UsageError, match="3 patches a side do not divide a mask of 4 pixels"):
        patch_coverage(MASKS, 3)


def test_attention_inside_spreads_over_the_pixels_of_a_patch():
    coverage = patch_coverage(MASKS, 2)
    # 1/4 of every patch; then 2/8 · 1 + 4/8 · 1/4
    attention = np.array([[4.0, 0, 0, 1], [0, 2, 2, 4]])
    np.testing.assert_allclose(attention_inside(attention, coverage), [1 / 4, 3 / 8])
    uniform = attention_inside(np.ones((2, 4)), coverage)
    np.testing.assert_allclose(uniform, MASKS.mean((1, 2)))


def test_the_pointing_game_takes_the_highest_patch_and_shares_ties():
    centres = patch_centres(MASKS, 2)
    values = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_array_equal(points_inside(values, centres), [1, 0])
    tied = np.array([[1.0, 0, 1, 0], [1, 1, 0, 1]])
    np.testing.assert_allclose(points_inside(tied, centres), [1 / 2, 1 / 3])
    np.testing.assert_allclose(points_inside(np.ones((2, 4)), centres), centres.mean(1))


def test_overlap_counts_pixels_at_every_threshold():
    coverage = patch_coverage(MASKS, 2)[1:]  # 0, 1, 0, 1/4
    shares = overlap(np.array([[0, 2.0, 1, 4]]), coverage)[0]
    at = dict(zip(THRESHOLDS.round(2).tolist(), shares.tolist(), strict=True))
    # 5/4 inside of three patches, of two; then of the last 1/4, and 1 more outside it
    assert at[0.2] == at[0.25] == pytest.approx(5 / 12)
    assert at[0.3] == at[0.5] == pytest.approx(5 / 8)
    assert at[0.55] == at[0.95] == pytest.approx(1 / 8)


def test_the_atlas_prior_merges_key_patches_and_points_to_the_best_of_each():
    names = ("right lung", "left lung")
    merged, points = atlas_prior(names, 14)
    atlas = shipped_atlas()
    keys = [set(atlas.key_patches(name).tolist()) for name in names]
    assert set(np.flatnonzero(merged)) == keys[0] | keys[1]
    columns = np.flatnonzero(points) % 14
    assert len(columns) == 2 and (columns < 7).sum() == 1  # patient right is image left
    for name, key in zip(names, keys, strict=True):
        coverage = atlas.coverage_on(name, 14).ravel()
        (own,) = key & set(np.flatnonzero(points).tolist())
        assert coverage[own] == coverage.max()


def test_without_a_landmark_the_prior_is_uniform():
    for part in atlas_prior((), 4):
        np.testing.assert_array_equal(part, np.ones(16))
