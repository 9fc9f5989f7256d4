"""What the image is worth, by hand."""

import numpy as np
import pytest

from kia.evaluation.guesses import KINDS, Guesses, score_guesses


def test_the_image_is_worth_the_difference_to_another_image():
    right = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1]], bool)
    guesses = Guesses(
        np.array([7, 7, 8, 9]), np.array([0, 0, 0, 1]), right, {KINDS[0]: 0.5, KINDS[1]: 1}
    )
    found = score_guesses(guesses)
    assert list(found) == ["observation words", "anatomy words"]
    one = found["observation words"]
    assert (one["words"], one["studies"]) == (3, 2)
    assert one["accuracy"] == pytest.approx(
        {"image": 2 / 3, "another": 2 / 3, "none": 0, "most_frequent_word": 0.5}
    )
    assert one["difference"]["another"]["difference"] == 0
    # of two studies, one gains 1 of 2 words and one loses 1 of 1
    assert one["difference"]["another"]["interval"] == (-1, 0.5)
