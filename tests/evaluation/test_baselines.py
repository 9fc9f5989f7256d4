"""Baselines on texts whose answer is plain."""

import numpy as np
import pytest

from kia.errors import DataError
from kia.evaluation.baselines import (
    CONSTANT_REPORT,
    best_constants,
    diversity,
    most_frequent,
    nearest_reports,
)


def test_the_most_frequent_report_ignores_white_space_and_ties_go_to_the_first() -> None:
    assert most_frequent(["a b", "c", "c", "a  b\n"]).report == "a b"
    assert "2 times" in most_frequent(["c", "a", "a"]).how
    with pytest.raises(DataError, match="no training report"):
        most_frequent([])


@pytest.mark.iu_xray
def test_the_most_frequent_report_of_iu_xray(iu_reports: dict[str, list[str]]) -> None:
    """Source: counted with `sort | uniq -c` over annotation.json: 29 times, the next 25."""
    chosen = most_frequent(iu_reports["train"])
    assert chosen.report == (
        "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear."
    )
    assert "29 times" in chosen.how


def test_the_best_constant_is_the_one_that_validation_prefers() -> None:
    train = ["lungs are clear today"] * 5 + ["heart is big now"] * 4
    val = ["heart is big now"] * 3 + ["lungs are clear today"]
    for chosen in best_constants(train, val).values():
        assert chosen.report == "heart is big now"
        assert "on 4 validation studies" in chosen.how


def test_cider_and_bleu_4_may_prefer_different_constants() -> None:
    """CIDEr weighs rare words and forgets word order beyond four; BLEU-4 wants length."""
    long = "the lungs are clear and there is no effusion or pneumothorax seen today"
    val = [*["scoliosis noted"] * 2, *[f"{long} {i}" for i in range(6)]]
    chosen = best_constants(["scoliosis noted", long] * 3, val)
    assert chosen["bleu_4"].report == long
    assert "by BLEU-4" in chosen["bleu_4"].how
    assert "by CIDEr" in chosen["cider"].how


def test_without_validation_training_judges_and_it_says_so() -> None:
    train = ["lungs are clear today"] * 600 + ["heart is big now"]
    assert "on 300 training studies" in best_constants(train)["cider"].how


def test_the_constant_report_competes() -> None:
    chosen = best_constants(["clear lungs"] * 4 + [CONSTANT_REPORT] * 3, [CONSTANT_REPORT, "b c d"])
    assert chosen["cider"].report == chosen["bleu_4"].report == CONSTANT_REPORT


def test_the_nearest_report_is_the_one_of_the_smallest_angle() -> None:
    train = np.array([[1.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    query = np.array([[9.0, 1.0], [0.1, 0.2], [-3.0, 0.0]], dtype=np.float16)
    assert nearest_reports(["x", "y", "z"], train, query) == ["x", "y", "z"]


def test_many_queries_are_compared_in_pieces() -> None:
    vectors = np.random.default_rng(0).normal(size=(700, 8))
    names = [str(i) for i in range(700)]
    assert nearest_reports(names, vectors, vectors * 3) == names


@pytest.mark.parametrize(
    ("train", "query", "error"),
    [
        (np.ones((3, 2)), np.ones((1, 2)), "training image embeddings have shape"),
        (np.ones((2, 2)), np.ones(2), "prediction image embeddings have shape"),
        (np.ones((2, 2)), np.ones((5, 2)), "expected 1 rows"),
        (np.ones((2, 2)), np.ones((1, 3)), "differ in width: 2 in training, 3 beside"),
        (np.full((2, 2), np.nan), np.ones((1, 2)), "not finite"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(
    train: np.ndarray, query: np.ndarray, error: str
) -> None:
    with pytest.raises(DataError, match=error):
        nearest_reports(["a", "b"], train, query, studies=1)


def test_diversity_counts_cleaned_reports_and_words_without_stops() -> None:
    reports = ["Lungs are clear.", "lungs  are clear", "No effusion. Heart big."]
    assert diversity(reports) == {
        "unique_reports": 2,
        "unique_ratio": pytest.approx(2 / 3),
        "mean_length": pytest.approx((3 + 3 + 4) / 3),
        "length_ratio": None,
        "copied_ratio": None,
    }


def test_length_and_copies_are_measured_against_references_and_training() -> None:
    reports = ["Lungs are clear.", "No effusion. Heart big."]
    found = diversity(reports, references=["Clear.", "Lungs clear today."], train_reports=[
        "LUNGS ARE CLEAR", "no effusion heart bigger"])  # fmt: skip
    assert found["length_ratio"] == pytest.approx(7 / 4)
    assert found["copied_ratio"] == 0.5
