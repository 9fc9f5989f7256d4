"""Scores of retrieval by hand, and chance by counting every order."""

from itertools import permutations

import numpy as np
import pytest

from kia.evaluation.retrieval import (
    clinical_agreement,
    first_ranks,
    present_observations,
    random_scores,
    retrieval_scores,
)
from kia.knowledge.chexpert import OBSERVATIONS


def test_recall_and_mean_rank_of_four_queries():
    found = retrieval_scores(np.array([1, 5, 6, 40]), np.array([1.0, 0.5, 0.75, 0.25]))
    assert [found[f"recall_{k}"] for k in (1, 5, 10)] == [0.25, 0.5, 0.75]
    assert found["mean_rank"] == 13 and found["clinical_precision_5"] == 0.625
    low, high = found["intervals"]["recall_5"]
    assert 0 <= low < 0.5 < high <= 1


def test_chance_is_the_mean_over_all_orders():
    """Six studies, two of which share a report; every order of them is counted."""
    ids = np.array([0, 0, 1, 2, 3, 4])
    present = np.zeros((6, 14), bool)
    present[[0, 1, 4], 1] = present[[2], 5] = True
    orders = np.array(list(permutations(range(6))))
    ranks = np.concatenate([first_ranks(ids[orders] == ids[query]) for query in range(6)])
    agreement = np.concatenate(
        [clinical_agreement(present, orders, np.full(len(orders), query)) for query in range(6)]
    )
    found = random_scores(np.array([2, 2, 1, 1, 1, 1]), present, 6)
    for k in (1, 5, 10):
        assert found[f"recall_{k}"] == pytest.approx((ranks <= k).mean())
    assert found["mean_rank"] == pytest.approx(ranks.mean())
    assert found["clinical_precision_5"] == pytest.approx(agreement.mean())
    assert found["recall_10"] == 1  # there are only six


def test_observations_agree_where_both_are_present_or_both_are_not():
    query = {"Edema": 1, "Fracture": 0}
    same = {"Edema": -1, "Fracture": None}  # uncertain is worded as present, unmentioned as absent
    two_off = {"Edema": 0, "Cardiomegaly": 1}
    labels = [{name: one.get(name) for name in OBSERVATIONS} for one in (query, same, two_off)]
    present = present_observations(labels)
    found = clinical_agreement(present, np.array([[1, 2], [0, 0]]), np.array([0, 0]))
    assert found == pytest.approx([(14 + 12) / 28, 1])


def test_only_the_first_five_count():
    present = np.zeros((6, 14), bool)
    present[5] = True
    assert clinical_agreement(present, np.array([[0, 1, 2, 3, 4, 5]]), np.array([0])) == [1]


def test_a_report_that_was_not_found_ranks_behind_all():
    relevant = np.array([[False, True, True], [False, False, False]])
    assert first_ranks(relevant).tolist() == [2, 4]
