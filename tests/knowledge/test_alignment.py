"""Graphs of whole reports against the findings alone: nothing is lost, nothing is taken for it.

The form is that of RadGraph's `MIMIC-CXR_graphs.json` (Jain et al. 2021, PhysioNet): the tokens are
cut by the expression of its `inference.py`, which the package `radgraph` 0.1.18 has too
(`utils.preprocess_reports`), and the report around the findings is laid out as MIMIC-CXR's are.
"""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kia.evaluation.language.protocols import clean_report
from kia.knowledge.alignment import align, part_about, unaligned_entities
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.radgraph import Entity, ReportGraph, tokenise

FINDINGS = "The HEART is normal. No effusion or\n pneumothorax, x-ray shows T11. fracture."
BEFORE = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  {} // eval for pneumonia, effusion or pneumothorax

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  Chest radiographs from ___. {}

 FINDINGS:

"""


def radgraph_tokens(text: str) -> list[str]:
    """As RadGraph's inference.py cuts: around / , : . ! ? ( ) and at white space."""
    spaced = re.sub(r"(?<! )(?=[/,-,:,.,!?()])|(?<=[/,-,:,.,!?()])(?! )", " ", text)
    return spaced.split()


def radgraph_graph(text: str) -> ReportGraph:
    """kia's graph of a text, over RadGraph's tokens."""
    tokens = radgraph_tokens(text)
    owner = [index for index, token in enumerate(tokens) for _ in token]  # of each character
    graph = extract_graphs([" ".join(tokens)])[0]
    starts = [0]
    for token in graph.text.split():
        starts.append(starts[-1] + len(token))
    entities = {}
    for key, entity in graph.entities.items():
        first, last = owner[starts[entity.start_ix]], owner[starts[entity.end_ix + 1] - 1]
        name = " ".join(tokens[first : last + 1])
        entities[key] = Entity(name, entity.label, first, last, entity.relations)
    return ReportGraph(" ".join(tokens), entities)


def letters(text: str) -> str:
    return "".join(text.split())


def placed(graph: ReportGraph, before: str, findings: str, report: str) -> tuple[int, int, int]:
    """Entities of the findings, those not at their place in the report, and strangers placed.

    Args:
        graph: Of the whole report.
        before: What stands before the findings in it.
        findings: As they stand in it.
        report: The findings as the data set has them, of the same letters.
    """
    starts = [0]
    for token in graph.text.split():
        starts.append(starts[-1] + len(token))
    where = [index for index, letter in enumerate(report) if not letter.isspace()]
    first = len(letters(before))
    spans = align(graph.text.split(), report)
    inside = lost = strangers = 0
    for entity in graph.entities.values():
        begin, end = starts[entity.start_ix] - first, starts[entity.end_ix + 1] - first
        own = spans[entity.start_ix : entity.end_ix + 1]
        if begin < 0 or end > len(letters(findings)):
            strangers += own[0] is not None
            continue
        inside += 1
        expected = (where[begin], where[end - 1] + 1)
        lost += None in own or (own[0][0], own[-1][1]) != expected
    return inside, lost, strangers


def test_a_preamble_costs_no_entity_and_lends_none():
    before = BEFORE.format("History of effusion", "No fracture.")
    whole = f"{before} {FINDINGS}\n\n IMPRESSION:\n\n No effusion.\n"
    graph = radgraph_graph(whole)
    inside, lost, strangers = placed(graph, before, FINDINGS, FINDINGS)
    assert inside >= 5  # heart, normal, effusion, pneumothorax, fracture
    assert (lost, strangers) == (0, 0)
    part = part_about(graph, FINDINGS)
    assert part.text.split() == radgraph_tokens(FINDINGS)
    assert unaligned_entities(part, FINDINGS) == 0
    for entity in part.entities.values():
        assert part.text.split()[entity.start_ix : entity.end_ix + 1] == entity.tokens.split()
        assert all(target in part.entities for _, target in entity.relations)
    kept = {entity.tokens for entity in part.entities.values()}
    assert {"HEART", "effusion", "pneumothorax", "fracture"} <= kept
    assert len(part.entities) == inside


def whole_reports(iu_xray: Path, most: int = 400) -> list[tuple[str, str, str]]:
    """(before, findings, after) of reports of IU X-Ray laid out as MIMIC-CXR's are."""
    with (iu_xray / "indiana_reports.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["findings"].strip() and r["impression"]]
    return [
        (
            BEFORE.format(row["indication"], row["comparison"]),
            row["findings"],
            f"\n\n IMPRESSION:\n\n {row['impression']}\n",
        )
        for row in rows[:most]
    ]


@pytest.mark.iu_xray
def test_400_whole_reports_lose_at_most_one_entity_in_a_hundred(iu_xray):
    """None of 6,966 is; when tokens were looked for from left to right it was 57 %."""
    reports = whole_reports(iu_xray)
    assert len(reports) == 400
    inside = lost = strangers = 0
    for before, findings, after in reports:
        graph = radgraph_graph(f"{before} {findings}{after}")
        folded = findings.replace(". ", ".\n ").lower()  # the data set broke lines and case
        found = placed(graph, before, findings, folded)
        inside, lost, strangers = (
            a + b for a, b in zip((inside, lost, strangers), found, strict=True)
        )
    print(f"\n{inside} entities of findings, {lost} lost, {strangers} of others placed there")
    assert inside > 6000
    assert lost <= 0.01 * inside
    assert strangers <= 0.01 * inside


@pytest.mark.iu_xray
def test_findings_and_impression_together_keep_the_entities_of_both(iu_xray):
    """As `--section both` has them: the heading between them, and the preamble, are gone."""
    lost = entities = strangers = 0
    for before, findings, after in whole_reports(iu_xray):
        impression = after.partition(":")[2].strip()
        text = f"{findings}\n{impression}"
        part = part_about(radgraph_graph(f"{before} {findings}{after}"), text)
        apart = [*radgraph_tokens(findings), *radgraph_tokens(impression)]
        lost += sum(token not in part.text.split() for token in apart)
        strangers += len(part.text.split()) > len(apart)
        entities += len(apart)
    assert lost <= 0.01 * entities
    assert strangers <= 0.01 * 400


@pytest.mark.iu_xray
def test_findings_as_r2gen_cleans_them_keep_their_entities(iu_xray):
    """R2Gen's cleaning joins what points divide ("1.5" → "15"), so a few words have no place."""
    kept = entities = 0
    for before, findings, after in whole_reports(iu_xray, 200):
        whole, alone = radgraph_graph(f"{before} {findings}{after}"), radgraph_graph(findings)
        cleaned = clean_report(findings, "iu")
        part = part_about(whole, cleaned)
        entities += len(alone.entities)
        kept += len(part.entities) - unaligned_entities(part, cleaned)
    assert kept >= 0.98 * entities


def test_tokens_of_a_graph_are_found_in_other_spelling():
    report = "No focal  air-space disease. The HEART is normal (stable)."
    spelt = "no focal air - space disease . the heart is normal ( stable ) ."
    tokens = spelt.split()
    found = [report[a:b] for a, b in align(tokens, report)]
    assert [word.lower() for word in found] == tokens
    lost = ["no", "patchy", "focal", "disease"]
    assert [x and report[x[0] : x[1]] for x in align(lost, report)] == [
        "No",
        None,
        "focal",
        "disease",
    ]
    assert align(["heart"], "") == [None]
    assert align([], report) == []


def test_words_match_whole():
    text = "Nodules; no node, known."
    assert align(["no"], text) == [(9, 11)]
    assert align(["nodule"], text) == [None]
    assert align(["node"], text) == [(12, 16)]


def test_a_token_of_several_words_is_there_if_they_follow_each_other():
    text = "X ray - of the chest"
    assert align(["x-ray"], text) == [None]
    assert align(["x-ray"], "Chest x-ray.") == [(6, 11)]


@given(
    st.lists(st.sampled_from(["heart", "no", "effusion", ".", "x-ray", "(", "1.5"]), max_size=30)
)
def test_a_text_fits_its_own_tokens_whoever_cut_them(words):
    text = " ".join(words)
    for tokens in (tokenise(text), radgraph_tokens(text)):
        spans = align(tokens, text)
        assert [text[a:b] for a, b in spans] == tokens


def test_a_word_of_the_indication_is_not_one_of_the_findings():
    """The data set's findings begin otherwise than the report's; what they share stays in line."""
    whole = (
        "INDICATION: Edema. TECHNIQUE: Chest PA and lateral. COMPARISON: Chest radiographs from "
        "the day before. FINDINGS: The heart is large and the lungs are clear."
    )
    tokens = radgraph_tokens(whole)
    text = "Edema? The heart is large and the lungs are clear."
    spans = align(tokens, text)
    assert spans[tokens.index("Edema")] is None
    assert spans[tokens.index("heart")] == (11, 16)
    assert "Edema" not in part_about(radgraph_graph(whole), text).text


def test_a_graph_of_this_text_and_one_of_another_report_stay_as_they_are():
    graph = radgraph_graph("Mild edema of the left lung.")
    assert part_about(graph, "Mild edema of the left lung.") is graph
    other = "The heart is large. No pneumothorax is seen."
    assert part_about(graph, other) is graph
    assert unaligned_entities(graph, other) == len(graph.entities) > 0


def test_words_spelt_otherwise_stay_with_their_entity_and_count_as_unaligned():
    graph = radgraph_graph("FINDINGS: There is mild oedema in the left lung base today.")
    text = "There is mild edema in the left lung base today."
    part = part_about(graph, text)
    assert part.text == "There is mild oedema in the left lung base today ."
    spelt = [e for e in graph.entities.values() if "oedema" in e.tokens]
    assert unaligned_entities(part, text) == len(spelt)
