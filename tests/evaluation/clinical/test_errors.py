"""Errors by kind and organ. Expected: 140 pairs annotated by hand, and arithmetic.

The annotation was there before the program (see the history of `error_pairs.yaml`). At the first
run 93 of the 100 made-up pairs agreed and 32 of the 40 real ones; what differs now is named here.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kia.errors import DataError
from kia.evaluation.clinical.claims import Reading, read_claims
from kia.evaluation.clinical.errors import KINDS, error_measure, report_errors
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.organs import ORGANS
from kia.knowledge.radgraph import LABELS, RELATIONS, Entity, ReportGraph

HERE = Path(__file__).parent
PAIRS: list[dict[str, Any]] = yaml.safe_load((HERE / "error_pairs.yaml").read_text("utf-8"))
REAL: list[dict[str, Any]] = yaml.safe_load((HERE / "error_pairs_iu.yaml").read_text("utf-8"))

Counts = Counter[tuple[str, str, float]]


def read(*texts: str) -> list[Reading]:
    return [read_claims(graph) for graph in extract_graphs(texts)]


def found(generated: str, reference: str) -> Counts:
    hyp, ref = read(generated, reference)
    errors = report_errors(hyp.claims, ref.claims)
    return Counter((error.kind, error.organ, error.weight) for error in errors)


def annotated(pair: dict[str, Any]) -> Counts:
    rows = [[part.strip() for part in error.split(",", 3)] for error in pair["errors"]]
    return Counter((kind, organ, float(weight)) for kind, organ, weight, _ in rows)


def test_the_annotation_is_of_kinds_and_organs() -> None:
    assert (len(PAIRS), len(REAL)) == (100, 40)
    for pair in (*PAIRS, *REAL):
        for kind, organ, weight in annotated(pair):
            assert kind in KINDS
            assert organ in ORGANS
            assert 0 < weight <= 4.5


def test_errors_agree_with_the_annotation_but_for_one_pair() -> None:
    """ "Possible mass" behind a comma is not tied to its hilum."""
    differ = [
        pair["reference"]
        for pair in PAIRS
        if found(pair["generated"], pair["reference"]) != annotated(pair)
    ]
    assert differ == ["Enlarged right hilum, possible mass."]


@pytest.mark.iu_xray
def test_errors_agree_with_the_annotation_of_real_reports(iu_xray: Path) -> None:
    """At least 32 of 40 pairs with all weights; of 161 errors 97 % by F1 of kind and organ."""
    studies = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))["val"]
    texts = {study["id"]: study["report"] for study in studies}
    hits = ours = theirs = whole = 0
    for pair in REAL:
        said, true = found(texts[pair["generated"]], texts[pair["reference"]]), annotated(pair)
        whole += said == true
        mine, others = (Counter(key[:2] for key in side.elements()) for side in (said, true))
        hits, ours, theirs = (
            hits + (mine & others).total(), ours + mine.total(), theirs + others.total()
        )  # fmt: skip
    assert whole >= 32
    assert theirs == 161
    assert 2 * hits / (ours + theirs) >= 0.97


def test_a_report_has_no_errors_against_itself_and_what_one_misses_the_other_invents() -> None:
    for pair in PAIRS:
        one, other = pair["reference"], pair["generated"]
        assert not found(one, one)
        there, back = found(one, other), found(other, one)
        for kind, mirrored in (("missed", "invented"), ("wrong_side", "wrong_side")):
            assert sum(n for k, n in there.items() if k[0] == kind) == sum(
                n for k, n in back.items() if k[0] == mirrored
            ), pair


def test_the_measure_by_hand() -> None:
    """Study 1 misses a small effusion (2 · ½) and a line (1); study 2 has a pneumothorax on the
    wrong side (3), and invents a possible mass (3 · ½): 6.5 over two studies is 3.25."""
    refs = read("Small left effusion. Right PICC.", "Right pneumothorax.")
    hyps = read("Clear lungs.", "Left pneumothorax. Possible mass in the right upper lobe.")
    measure = error_measure(hyps, refs)
    values = measure.values()
    assert (values["count"], values["weight"]) == (2.0, 3.25)
    assert values["silence"] == (1 + 1 + 3) / 2
    assert values["missed.weight"] == 1.0
    assert values["wrong_side.count"] == 0.5
    assert values["organs.lungs.invented"] == 0.5
    assert values["organs.pleura.weight"] == (1 + 3) / 2
    assert values["organs.devices.missed"] == 0.5
    assert values["organs.bones.count"] == 0.0
    low, high = measure.intervals(resamples=200)["weight"]
    assert (low, high) == (2.0, 4.5)  # both draws of one study
    with pytest.raises(DataError, match="claims of 1 reports for 2 references"):
        error_measure(hyps[:1], refs)


def test_degrees_are_compared_side_by_side() -> None:
    both = "Large left and small right pleural effusions."
    assert not found(both, both.replace("Large left and small right", "Bilateral"))
    assert found("Small bilateral effusions.", both) == Counter(
        {("wrong_degree", "pleura", 2.0): 1}
    )
    assert found("Small left effusion.", both) == Counter({("wrong_side", "pleura", 2.0): 1})


WORDS = ("left", "both", "large", "small", "effusion", "opacity", "lung", "aorta", "tube", "normal",
         "hydropneumothorax", "tip", "heart", "enlarged", "gizmo")  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> ReportGraph:
    """Any entities with any relations: loops, places that are observations, no sense at all."""
    words = draw(st.lists(st.sampled_from(WORDS), max_size=8))
    keys = [str(number) for number in range(len(words))]
    relations = st.tuples(st.sampled_from(RELATIONS), st.sampled_from(keys or ["0"]))
    entities = {
        key: Entity(
            word,
            draw(st.sampled_from(LABELS)),
            place,
            place,
            tuple(draw(st.lists(relations, max_size=3))),
        )
        for place, (key, word) in enumerate(zip(keys, words, strict=True))
    }
    return ReportGraph(" ".join(words), entities)


@given(graphs(), graphs())
def test_graphs_of_any_form_are_read(one: ReportGraph, other: ReportGraph) -> None:
    hyp, ref = read_claims(one), read_claims(other)
    assert report_errors(hyp.claims, hyp.claims) == []
    for error in report_errors(hyp.claims, ref.claims):
        assert error.kind in KINDS
        assert error.organ in ORGANS
        assert 0.25 <= error.weight <= 4.5
    assert error_measure([hyp], [ref]).values()["count"] == len(
        report_errors(hyp.claims, ref.claims)
    )


def test_an_empty_graph_claims_nothing() -> None:
    assert read_claims(ReportGraph("")) == Reading({}, {})


def test_what_a_report_denies_is_kept_beside_its_claims() -> None:
    (reading,) = read("No effusion. Cardiomegaly.")
    assert list(reading.claims) == [("cardiomegaly", "heart and mediastinum")]
    assert list(reading.denied) == [("effusion", "pleura")]
