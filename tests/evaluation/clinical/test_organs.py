"""Organs called abnormal against those of the references; every number by hand."""

import pytest

from kia.errors import DataError
from kia.evaluation.clinical.organs import organ_grid, organ_measure
from kia.evaluation.evaluate import evaluate

REFS = ["The heart is large.", "The heart is normal.", "Large heart. No effusion.", "Clear lungs."]
HYPS = ["The heart is large.", "The heart is large.", "Normal heart. No effusion.", "Clear lungs."]


def test_scores_of_an_organ_and_their_mean():
    """Heart: called in studies 1 and 2, there in 1 and 3, so 1 hit of 2 and 2. Same state in
    studies 1 and 4 (not mentioned), of the pleura and lungs in all four."""
    grid = organ_grid(organ_measure(HYPS, REFS))
    heart = grid["heart and mediastinum"]
    assert (heart["precision"], heart["recall"], heart["f1"]) == (0.5, 0.5, 0.5)
    assert heart["same_state"] == 0.5 and heart["support"] == 2
    assert grid["pleura"]["same_state"] == grid["lungs"]["same_state"] == 1
    assert grid["lungs"]["f1"] == 0 and grid["lungs"]["support"] == 0
    assert grid["macro"]["f1"] == pytest.approx(0.5 / 6)
    assert grid["macro"]["same_state"] == pytest.approx(5.5 / 6)


def test_uncertain_counts_as_abnormal():
    grid = organ_grid(organ_measure(["Possible effusion."], ["Large effusion."]))
    assert grid["pleura"]["f1"] == 1 and grid["pleura"]["same_state"] == 0


def test_lengths_must_be_equal():
    with pytest.raises(DataError, match="1 reports for 2 references"):
        organ_measure(["a"], ["a", "b"])


def test_the_scoreboard_takes_it_over_when_asked():
    plain = evaluate(REFS, HYPS, train=REFS, resamples=100)
    assert "organs" not in plain
    found = evaluate(REFS, HYPS, train=REFS, resamples=100, by_organ=True)
    assert found["organs"]["heart and mediastinum"]["f1"] == 0.5
    low, high = found["confidence"]["organs"]["heart and mediastinum"]["f1"]
    assert 0 <= low <= 0.5 <= high <= 1
    assert found["baselines"]["best_constant"]["organs"]["macro"]["same_state"] <= 1
    assert {k: v for k, v in found.items() if k not in ("organs", "confidence", "baselines")} == {
        k: v for k, v in plain.items() if k not in ("confidence", "baselines")
    }
