"""Counts of what knowledge does not cover, against studies written for them."""

import pytest

from kia.knowledge.masks.coverage import KnowledgeCoverage
from kia.studies import Study

EDEMA = {"tokens": "edema", "label": "OBS-DP", "start_ix": 1, "end_ix": 1, "relations": []}


def study(text="no edema . please compare . end", entities=None, labels=None, landmarks=()):
    graph = None if entities is None else {"text": text, "entities": entities}
    return Study("s", "train", (), text, labels=labels, graph=graph, landmarks=landmarks)


def test_counts_and_shares() -> None:
    studies = [
        study(entities={"1": EDEMA}, labels={}, landmarks=("left lung",)),
        study(entities={}, labels={}),
        study(),
        study(text="", entities={}, landmarks=None),
    ]
    found = KnowledgeCoverage()
    for one in studies:
        found.add(one)
    assert found == KnowledgeCoverage(
        reports=4,
        reports_without_labels=2,
        reports_without_entities=3,
        reports_without_landmarks=3,
        sentences=6,  # three in each of the first two reports
        sentences_without_entities=5,
    )
    assert found.shares() == pytest.approx(
        {
            "reports_without_labels": 2 / 4,
            "reports_without_entities": 3 / 4,
            "reports_without_landmarks": 3 / 4,
            "sentences_without_entities": 5 / 6,
        }
    )


def test_nothing_has_no_share() -> None:
    assert set(KnowledgeCoverage().shares().values()) == {None}
