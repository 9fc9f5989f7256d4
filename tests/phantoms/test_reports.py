"""Phantom reports: text, labels, graph and parser tell the same story."""

from functools import cache

import numpy as np
import pytest

from kia.knowledge.chexpert import OBSERVATIONS
from kia.phantoms.findings import Finding
from kia.phantoms.reports import Report, write_report
from kia.phantoms.studies import _sample, parse_findings, parse_statements

STUDIES = 2000


@cache
def reports() -> tuple[tuple[tuple[Finding, ...], Report], ...]:
    pairs = []
    for index in range(STUDIES):
        _, findings = _sample(0, index)
        pairs.append((findings, write_report(findings, np.random.default_rng((0, index, 1)))))
    return tuple(pairs)


def spaced(text: str) -> str:
    return text.lower().replace(".", " .").replace(",", " ,")


@pytest.mark.parametrize("form", [str, str.lower, spaced, lambda t: spaced(t).replace("\n", " ")])
def test_the_parser_reads_back_the_labels(form):
    for _, report in reports():
        said = parse_findings(form(report.text))
        stated = {k: v for k, v in report.labels.items() if k != "No Finding"}
        assert said["present"] == {k for k, v in stated.items() if v == 1}, report.text
        assert said["absent"] == {k for k, v in stated.items() if v == 0}, report.text


def test_the_parser_reads_back_the_sides():
    for findings, report in reports():
        drawn = {(f.observation, f.side or "") for f in findings}
        assert parse_statements(spaced(report.text)) == drawn, report.text


def test_every_finding_is_stated_and_nothing_else():
    for findings, report in reports():
        present = {k for k, v in report.labels.items() if v == 1} - {"No Finding"}
        assert present == {f.observation for f in findings}


def test_no_finding_means_nothing_but_devices():
    for findings, report in reports():
        assert tuple(report.labels) == OBSERVATIONS
        only_devices = all(f.observation == "Support Devices" for f in findings)
        assert report.labels["No Finding"] == (1 if only_devices else 0)


def test_reports_are_short_varied_sentences():
    lengths = [len(report.text.split()) for _, report in reports()]
    assert max(lengths) <= 60
    assert 28 <= np.mean(lengths) <= 40
    abnormal = [report.text for findings, report in reports() if findings]
    assert len(set(abnormal)) > 0.95 * len(abnormal)
    for text in abnormal:
        assert text.endswith(".")
        assert all(sentence[0].isupper() for sentence in text.split(". "))
        assert not set(text) & set("[]{}()")
        assert "  " not in text and " ." not in text


def test_graph_indices_fit_the_text_and_relations_fit_the_labels():
    for _, report in reports():
        words, entities = report.graph["text"].split(), report.graph["entities"]
        assert report.graph["text"].replace(" .", ".").replace(" ,", ",") == report.text
        last = -1
        for entity in entities.values():
            assert last < entity["start_ix"] <= entity["end_ix"] < len(words)
            last = entity["end_ix"]
            span = words[entity["start_ix"] : entity["end_ix"] + 1]
            assert " ".join(span) == entity["tokens"]
            assert entity["label"] in ("OBS-DP", "OBS-DA", "ANAT-DP")
            for relation, target in entity["relations"]:
                kinds = entity["label"][:3], entities[target]["label"][:3]
                assert kinds == ("OBS", "ANA") if relation == "located_at" else kinds[0] == kinds[1]


def test_graph_of_a_list_of_negations_keeps_each_place_to_its_observation():
    report = next(r for _, r in reports() if "o pleural effusion or pneumothorax." in r.text)
    entities = report.graph["entities"]
    effusion = next(e for e in entities.values() if e["tokens"] == "effusion")
    collapse = next(e for e in entities.values() if e["tokens"] == "pneumothorax")
    assert effusion["label"] == collapse["label"] == "OBS-DA"
    assert [entities[t]["tokens"] for _, t in effusion["relations"]] == ["pleural"]
    assert collapse["relations"] == []


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        (
            "heart size is normal . no pleural effusion .",
            set(),
            {"Cardiomegaly", "Pleural Effusion"},
        ),
        (
            "No focal consolidation, effusion or pneumothorax.",
            set(),
            {"Consolidation", "Pleural Effusion", "Pneumothorax"},
        ),
        ("no pneumothorax but small left effusion", {"Pleural Effusion"}, {"Pneumothorax"}),
        ("the the heart is enlarged enlarged", {"Cardiomegaly"}, set()),
        ("no effusion . moderate left effusion .", {"Pleural Effusion"}, set()),
        ("the heart is not enlarged .", set(), {"Cardiomegaly"}),
        ("pneumothorax is not seen", set(), {"Pneumothorax"}),
        ("left effusion and atelectasis without pneumothorax",
         {"Pleural Effusion", "Atelectasis"}, {"Pneumothorax"}),
        ("", set(), set()),
    ],
)  # fmt: skip
def test_the_parser_bears_loose_text(text, present, absent):
    assert parse_findings(text) == {"present": present, "absent": absent}


def test_sides_are_read_for_each_clause():
    text = "small right effusion . left lower lobe consolidation . no left pneumothorax"
    assert parse_statements(text) == {("Pleural Effusion", "right"), ("Consolidation", "left")}
