"""Intervals. Expected numbers: formulas of statistics, and pycocoevalcap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.evaluation.language.ngrams import bleu_rows
from kia.evaluation.language.scores import LanguageScorer
from kia.evaluation.statistics import intervals as statistics
from kia.evaluation.statistics.intervals import (
    Interval,
    Measure,
    bleu_from_sums,
    language_measure,
    resampled_sums,
)

RNG = np.random.default_rng(7)


def mean_interval(values: np.ndarray, **how: int) -> Interval:
    rows = np.column_stack([values, np.ones(len(values))])
    measure = Measure(rows, lambda sums: {"mean": sums[:, 0] / sums[:, 1]})
    return measure.intervals(**how)["mean"]


def test_the_interval_of_a_mean_is_that_of_the_normal_law_for_many_studies() -> None:
    values = RNG.exponential(size=3000)
    error = values.std() / np.sqrt(len(values))
    low, high = mean_interval(values, resamples=4000)
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_equal_studies_leave_no_doubt() -> None:
    assert mean_interval(np.full(50, 0.25)) == pytest.approx((0.25, 0.25))


def test_four_times_the_studies_halve_the_interval() -> None:
    values = RNG.normal(size=4000)
    widths = [np.diff(mean_interval(part, resamples=2000))[0] for part in (values[:1000], values)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_the_seed_decides_the_draws() -> None:
    values = RNG.normal(size=100)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)


def test_every_resample_draws_as_many_studies_as_there_are() -> None:
    sums = resampled_sums(np.ones((37, 1)), resamples=200)
    assert sums.shape == (200, 1)
    assert (sums == 37).all()


def test_drawing_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = RNG.normal(size=(50, 3))
    whole = resampled_sums(data, resamples=100)
    monkeypatch.setattr(statistics, "_CELLS_AT_ONCE", 130)
    assert resampled_sums(data, resamples=100) == pytest.approx(whole)


def test_a_ratio_of_sums_is_resampled_as_such() -> None:
    data = np.stack([2 * np.arange(1.0, 40), np.arange(1.0, 40)], axis=1)
    ratio = Measure(data, lambda sums: {"ratio": sums[:, 0] / sums[:, 1]})
    assert ratio.intervals() == {"ratio": (2.0, 2.0)}


def test_a_resample_has_the_score_of_the_studies_that_were_drawn() -> None:
    """Reference: pycocoevalcap on a corpus that holds each study as often as it was drawn."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    refs = [f"the heart is {size} and the lungs are clear" for size in ("big", "normal", "small")]
    hyps = ["the heart is big", "the heart and the lungs are clear", "clear lungs and small heart"]
    rows = bleu_rows(hyps, refs)
    drawn = resampled_sums(np.eye(3), resamples=4, seed=2).astype(int)  # how often, (4, 3)
    assert len({tuple(counts) for counts in drawn}) > 1
    found = bleu_from_sums(resampled_sums(rows, resamples=4, seed=2))
    for counts, scores in zip(drawn, found, strict=True):
        scorer = BleuScorer(n=4)
        for study in np.repeat(range(3), counts):
            scorer += (hyps[study], [refs[study]])
        assert scores == pytest.approx(scorer.compute_score(option="closest", verbose=0)[0])


words = st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=6))
def test_bleu_of_sums_is_that_of_pycocoevalcap(pairs: list[tuple[str, str]]) -> None:
    hyps, refs = map(list, zip(*pairs, strict=True))
    bleu = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
    with LanguageScorer(refs, metrics=bleu) as scorer:
        result = scorer.score(hyps, "r2gen-full")
    ours = bleu_from_sums(result.statistics["bleu"].sum(axis=0, keepdims=True))[0]
    assert ours == pytest.approx([result.values[name] for name in bleu])


def test_intervals_hold_the_score() -> None:
    refs = [f"the heart is normal {'and the lungs are clear ' * (i % 4)}" for i in range(80)]
    hyps = [f"the heart is big {'and the lungs are clear ' * (i % 3)}" for i in range(80)]
    with LanguageScorer(refs) as scorer:
        result = scorer.score(hyps, "r2gen-full")
    intervals = language_measure(result.statistics).intervals()
    assert set(intervals) == set(result.values)
    for name, (low, high) in intervals.items():
        value = result.values[name]
        assert value is not None
        assert low < value < high, name
