"""The scope rules that labels and graphs share, and that the two say the same of a finding."""

import sys
from pathlib import Path

import pytest
import yaml

from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.labels.rules import OTHER, explain_report
from kia.knowledge.scope import joint, reach_back, wants_plural

FIXTURES = Path(__file__).parent / "labels" / "fixtures"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases" / "labels.txt"
STATES = {"OBS-DP": 1, "OBS-U": -1, "OBS-DA": 0}

# What the two schemes mean differently: CheXpert's labeler calls "likely" present, congestion and
# "X versus Y" uncertain, and hears heart failure as an uncertain Cardiomegaly; RadGraph does not.
SCHEMES = (
    "likely",
    "congesti",
    "engorgement",
    "favored over",
    "Borderline",
    "Kerley",
    "/infiltrate",
)


@pytest.mark.parametrize(
    ("joints", "count"),
    [
        ([], 0),
        ([""], 1),  # effusion is not seen
        (["", "and"], 2),  # edema and effusion are not seen
        (["", "comma"], 1),  # small effusion, pneumothorax is not seen
        (["", "comma", "comma and"], 3),  # edema, effusion, and pneumothorax are not seen
        (["", "comma", "and"], 3),
        (["", "comma and"], 1),  # a small effusion, and pneumothorax is not seen
        (["", "phrase"], 2),  # pneumonia on top of fibrosis cannot be excluded
        (["", "comma", "phrase"], 2),  # edema, pneumonia on top of fibrosis cannot be excluded
        (["", "and", "comma"], 1),  # effusion and edema, pneumothorax is not seen
        (["", "", "and"], 2),  # edema is stable, effusion and pneumothorax are not seen
    ],
)
def test_what_a_cue_behind_governs(joints, count):
    assert reach_back(joints) == count


def test_a_plural_verb_makes_a_list_of_commas():
    assert reach_back(["", "comma", "comma"], plural=True) == 3
    assert wants_plural("are", "pneumothorax") and wants_plural("have", "atelectasis")
    assert not wants_plural("are", "effusions") and not wants_plural("is", "pneumothorax")


def test_joints():
    assert [joint(*pair) for pair in [(0, 0), (1, 0), (0, 1), (1, 1)]] == [
        *("phrase", "comma", "and", "comma and")
    ]


def differing(text):
    """Finding words of a report that both read, with the states of each where they differ."""
    (graph,) = extract_graphs([text])
    entities = [(e.tokens.lower().split()[-1], e.label) for e in graph.entities.values()]
    said = {}
    for reason in explain_report(text)[1]:
        by_predicate = "predicate" in reason.rule or reason.rule.startswith("unmention")
        if reason.phrase and reason.observation != OTHER and not by_predicate:
            said.setdefault(reason.phrase.split()[-1], set()).add(reason.value)
    found = {}
    for word, states in said.items():
        drawn = {STATES[label] for name, label in entities if name == word and label in STATES}
        if drawn:
            found[word] = (states, drawn)
    return {word: pair for word, pair in found.items() if pair[0] != pair[1]}, len(found)


def case_sentences():
    for name in ("label_cases.yaml", "scope_cases.yaml", "scope_taught.yaml"):
        kinds = yaml.safe_load((FIXTURES / name).read_text(encoding="utf-8"))
        yield from (case[0] for cases in kinds.values() for case in cases)
    if SHARED.exists():
        for line in SHARED.read_text(encoding="utf-8").splitlines():
            if " => " in line:
                yield line.rsplit(" => ", 1)[0].replace("\\n", "\n")


def test_labels_and_graphs_say_the_same_of_a_finding():
    compared, differences = 0, {}
    for text in case_sentences():
        found, count = differing(text)
        compared += count
        if found and not any(word in text for word in SCHEMES):
            differences[text] = found
    print(f"{compared} findings compared", file=sys.stderr)
    assert compared >= 900
    assert differences == {}
