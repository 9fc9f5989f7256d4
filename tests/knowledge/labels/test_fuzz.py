"""Any text has labels, in time that grows with its length."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import explain_report, label_reports
from kia.knowledge.phrases import tokens_of

WORDS = [
    "no",
    "not",
    "without",
    "may",
    "possible",
    "versus",
    "vs",
    ".",
    ",",
    ";",
    ":",
    "?",
    "/",
    "-",
    "or",
    "and",
    "the",
    "a",
    "which",
    "with",
    "but",
    "is",
    "are\nhas",
    "resolved",
    "removed",
    "excluded",
    "cannot",
    "be",
    "suspected",
    "heart",
    "lungs",
    "mediastinum",
    "enlarged",
    "normal",
    "clear\nborderline",
    "effusion",
    "edema",
    "nodule",
    "calcified",
    "tube",
    "fracture",
    "atelectasis",
    "opacity",
    "pneumonia",
    "history",
    "of\nFINDINGS:",
    "HISTORY:",
    "1.",
    "XXXX",
    "___",
    "\n",
    "\n\n",
    "\t",
    "change",
    "in",
    "small",
    "left",
    "acute",
    "abnormality",
    "failure",
]
PIECES = {
    "letters": "a",
    "spaces": " ",
    "blank lines": " \n",
    "full stops": ". ",
    "numbers": "1. ",
    "headers": "HISTORY: x\n",
    "skipped": "HISTORY:\n \t",
    "colons": "a: ",
    "slashes": "a/",
    "hyphens": "a-",
    "bullets": "\n- a",
    "control": "\x00\x1b",
    "other script": "肺部清晰。",
    "no full stop": "no effusion or edema, heart normal ",
    "alternatives": "may edema or ",
    "anatomy": "lungs and ",
    "questions": "x? ",
}


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)))
def test_any_text_has_labels(text: str) -> None:
    (labels,) = label_reports([text])
    assert list(labels) == list(OBSERVATIONS)
    assert set(labels.values()) <= {1, 0, -1, None}
    assert labels["No Finding"] in (1, None)
    assert len({len(tokens) for tokens in tokens_of(text)}) == 1
    explained, reasons = explain_report(text)
    assert explained == labels
    assert {r.observation for r in reasons} >= {n for n, v in labels.items() if v is not None}


def seconds(text: str) -> float:
    start = time.process_time()
    label_reports([text])
    return time.process_time() - start


def check_linear(piece: str, size: int) -> None:
    label_reports(["warm"])
    text = piece * (size // len(piece))
    small = max(min(seconds(text[: size // 8]) for _ in range(3)), 0.005)
    # 8 times the text: quadratic time would be 64 times as much
    assert min(seconds(text) for _ in range(2)) < 24 * small


@pytest.mark.parametrize("name", PIECES)
def test_time_grows_with_the_length(name: str) -> None:
    check_linear(PIECES[name], 100_000)


@pytest.mark.slow
@pytest.mark.parametrize("name", PIECES)
def test_a_report_of_a_megabyte(name: str) -> None:
    check_linear(PIECES[name], 1_000_000)
