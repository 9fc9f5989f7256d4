"""Discrimination and calibration, with numbers counted by hand."""

import math

import numpy as np
import pytest

from kia.evaluation.clinical.probabilities import (
    auroc,
    average_precision,
    reliability,
    score_findings,
    sensitivity_specificity,
)
from kia.knowledge.chexpert import OBSERVATIONS

P = np.array([0.9, 0.4, 0.5, 0.4])
TRUTH = np.array([True, True, False, False])


def test_sensitivity_and_specificity_by_hand():
    assert sensitivity_specificity(np.array([1, 1, 0, 0], bool), np.array([1, 1, 1, 0], bool)) == (
        2 / 3,
        1,
    )
    sensitivity, specificity = sensitivity_specificity(np.array([True]), np.array([True]))
    assert sensitivity == 1 and math.isnan(specificity)  # nothing is absent


def test_one_answer_for_all_has_half_the_balanced_accuracy_whatever_the_shares():
    truth = np.arange(10) < 9
    assert np.mean(sensitivity_specificity(np.ones(10, bool), truth)) == 0.5


def test_auroc_counts_pairs_and_half_of_ties():
    assert auroc(P, TRUTH) == (1 + 1 + 0 + 0.5) / 4
    assert auroc(np.ones(4), TRUTH) == 0.5
    assert math.isnan(auroc(P, np.ones(4, bool)))


def test_auroc_is_the_share_of_ordered_pairs():
    draw = np.random.default_rng(0)
    scores, truth = draw.integers(0, 9, 200) / 9, draw.random(200) < 0.3
    difference = scores[truth][:, None] - scores[~truth]
    assert auroc(scores, truth) == pytest.approx(((difference > 0) + (difference == 0) / 2).mean())


def test_average_precision_adds_precision_where_recall_grows():
    # thresholds .9: 1 of 1; .5: 1 of 2; .4: 2 of 4 → ½·1 + 0·½ + ½·½
    assert average_precision(P, TRUTH) == 0.75
    assert average_precision(np.ones(4), TRUTH) == 0.5  # the share of present ones
    assert math.isnan(average_precision(P, np.zeros(4, bool)))


def test_reliability_by_hand():
    found = reliability(np.array([0.0, 0.04, 0.95, 1.0, 0.5]), np.array([0, 1, 1, 1, 0], bool))
    assert found.studies.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    np.testing.assert_allclose(found.predicted[[0, 5, 9]], [0.02, 0.5, 0.975])
    np.testing.assert_allclose(found.observed[[0, 5, 9]], [0.5, 0, 1])
    assert np.isnan(found.predicted[1])
    assert found.error == pytest.approx((2 * 0.48 + 1 * 0.5 + 2 * 0.025) / 5)


def test_uncertain_labels_are_left_out_and_unmentioned_ones_are_absent():
    labels = [{"Edema": 1}, {"Edema": -1}, {"Edema": 0}, {}]
    probabilities = np.full((4, 14), 0.25)
    probabilities[:, OBSERVATIONS.index("Edema")] = [0.8, 0.1, 0.3, 0.9]
    found = score_findings(probabilities, labels)
    edema, other = found["observations"]["Edema"], found["observations"]["Fracture"]
    assert (edema["studies"], edema["present"], edema["auroc"]) == (3, 1, 0.5)
    assert (other["studies"], other["present"], other["auroc"]) == (4, 0, None)
    assert other["calibration_error"] == 0.25
    assert found["macro"]["auroc"] == 0.5  # of the only one with both kinds of studies
    assert sum(found["reliability"]["studies"]) == 4 * 14 - 1
    assert edema["reliability"]["studies"] == [0, 0, 0, 1, 0, 0, 0, 0, 1, 1]
    assert [edema["reliability"]["observed"][i] for i in (3, 8, 9)] == [0, 1, 0]


def test_no_study_with_a_known_label_gives_no_numbers():
    found = score_findings(np.full((1, 14), 0.5), [dict.fromkeys(OBSERVATIONS, -1)])
    assert repr(found) == repr(score_findings(np.empty((0, 14)), []))  # nan is no nan
    assert found["macro"]["auroc"] is None
    assert found["observations"]["Edema"]["mean_probability"] is None
