"""The built-in extractor against two readings of 60 IU reports (fixtures/radgraph-scheme.md).

Only the dev half was looked at while the rules were written.
"""

import json
from pathlib import Path

import pytest

from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.radgraph import LABELS, RELATIONS, Entity, ReportGraph, tokenise

FIXTURES = Path(__file__).parent / "fixtures"


def reading(number):
    return json.loads((FIXTURES / f"radgraph-reader-{number}.json").read_text(encoding="utf-8"))


def graph(record):
    """The graph of a stand-off annotation, without its words."""
    return ReportGraph(
        "",
        {
            key: Entity(
                "", e["label"], e["start_ix"], e["end_ix"], tuple(map(tuple, e["relations"]))
            )
            for key, e in record["entities"].items()
        },
    )


def entities(graph):
    return {(e.start_ix, e.end_ix, e.label) for e in graph.entities.values()}


def relations(graph):
    spans = {key: (e.start_ix, e.end_ix) for key, e in graph.entities.items()}
    return {
        (spans[key], relation, spans[target])
        for key, e in graph.entities.items()
        for relation, target in e.relations
    }


def f1(pairs, parts):
    """Micro F1 of the parts (exact matches) over pairs of graphs."""
    sets = [(parts(one), parts(other)) for one, other in pairs]
    both = sum(len(one & other) for one, other in sets)
    return 2 * both / sum(len(one) + len(other) for one, other in sets)


@pytest.mark.parametrize("number", [1, 2])
def test_the_readings_are_of_30_and_30_reports_and_hold_together(number):
    records = reading(number)
    assert [r["part"] for r in records.values()].count("dev") == 30
    assert [r["part"] for r in records.values()].count("held-out") == 30
    for record in records.values():
        for entity in record["entities"].values():
            assert entity["label"] in LABELS and entity["start_ix"] <= entity["end_ix"]
            for relation, target in entity["relations"]:
                assert relation in RELATIONS and target in record["entities"]


@pytest.mark.iu_xray
@pytest.mark.parametrize("part", ["dev", "held-out"])
def test_the_extractor_agrees_with_the_readers(iu_xray, part, capsys):
    annotation = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    texts = {s["id"]: s["report"] for split in ("train", "val") for s in annotation[split]}
    first, second = reading(1), reading(2)
    ids = [study for study, record in first.items() if record["part"] == part]
    one, two = [graph(first[study]) for study in ids], [graph(second[study]) for study in ids]
    ours = extract_graphs([texts[study] for study in ids])
    for study, readings in zip(ids, zip(one, two, strict=True), strict=True):
        last = max(e.end_ix for g in readings for e in g.entities.values())
        assert last < len(tokenise(texts[study]))
    scores = {
        name: {
            kind.__name__: f1(list(zip(a, b, strict=True)), kind) for kind in (entities, relations)
        }
        for name, (a, b) in {
            "extractor, reader 1": (ours, one),
            "extractor, reader 2": (ours, two),
            "reader 1, reader 2": (one, two),
        }.items()
    }
    with capsys.disabled():
        for name, values in scores.items():
            line = ", ".join(f"{kind} F1 {value:.3f}" for kind, value in values.items())
            print(f"\n{part}: {name}: {line}", end="")
    assert scores["extractor, reader 1"]["entities"] >= 0.85
    assert scores["extractor, reader 1"]["relations"] >= 0.70


def test_f1_is_that_of_a_hand_count():
    a = ReportGraph(
        "", {"1": Entity("", "OBS-DP", 0, 0, (("modify", "2"),)), "2": Entity("", "OBS-DP", 1, 1)}
    )
    b = ReportGraph(
        "", {"1": Entity("", "OBS-DP", 0, 0), "2": Entity("", "OBS-U", 1, 1, (("modify", "1"),))}
    )
    assert f1([(a, b)], entities) == 0.5  # one of two and two
    assert f1([(a, b)], relations) == 0  # the direction counts
    assert f1([(a, b), (a, a)], entities) == 6 / 8
