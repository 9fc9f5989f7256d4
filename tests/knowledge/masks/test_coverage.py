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
        reports=3,  # the last study has none
        reports_without_labels=1,
        reports_without_entities=2,
        reports_without_landmarks=2,
        sentences=6,  # three in each of the first two reports
        sentences_without_entities=5,
        entities=1,
    )
    assert found.shares() == pytest.approx(
        {
            "reports_without_labels": 1 / 3,
            "reports_without_entities": 2 / 3,
            "reports_without_landmarks": 2 / 3,
            "sentences_without_entities": 5 / 6,
        }
    )


def test_nothing_has_no_share() -> None:
    assert set(KnowledgeCoverage().shares().values()) == {None}


def test_entities_that_do_not_stand_in_the_report_are_counted() -> None:
    found = KnowledgeCoverage()
    graph = {"text": "no edema .", "entities": {"1": EDEMA}}
    found.add(Study("s", "train", (), "No EDEMA.", graph=graph))
    assert (found.entities, found.entities_unaligned) == (1, 0)
    found.add(Study("t", "train", (), "The heart is large.", graph=graph))
    assert (found.entities, found.entities_unaligned) == (2, 1)


def test_counts_of_version_0_1_are_read() -> None:
    old = {name: 1 for name in KnowledgeCoverage.__dataclass_fields__ if "entities" not in name}
    assert KnowledgeCoverage(**old).entities_unaligned == 0
