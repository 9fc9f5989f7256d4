"""Sentences of our own wording with the labels a reader expects (fixtures/label_cases.yaml)."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.lexicon import lexicon
from kia.knowledge.labels.rules import explain_report, label_reports

FILE = Path(__file__).parent / "fixtures" / "label_cases.yaml"
THEMES: dict[str, list[Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
CASES = [(theme, text, want) for theme, cases in THEMES.items() for text, want in cases]
STATES = {"present": 1, "absent": 0, "uncertain": -1, "unmention": None}


@pytest.mark.parametrize("theme", THEMES)
def test_labels_are_as_expected(theme: str) -> None:
    texts = [text for text, _ in THEMES[theme]]
    found = label_reports(texts)
    wrong = {
        text: {name: value for name, value in labels.items() if value is not None}
        for (text, want), labels in zip(THEMES[theme], found, strict=True)
        if labels != dict.fromkeys(OBSERVATIONS) | want
    }
    assert wrong == {}


def test_the_cases_cover_every_observation_in_every_state() -> None:
    assert len(CASES) == len({text for _, text, _ in CASES}) >= 250
    for name in OBSERVATIONS:
        for word, value in STATES.items():
            cases = THEMES[f"{name} {word}"]
            # No Finding is 1 or unmentioned, as in CheXpert's own files
            value = None if name == "No Finding" and value != 1 else value
            hits = sum(want.get(name) == value for _, want in cases)
            assert hits >= 2, f"{name} {word}"


def test_every_label_has_a_reason_in_the_text() -> None:
    for _, text, _ in CASES:
        labels, reasons = explain_report(text)
        assert labels == label_reports([text])[0]
        given = {reason.observation for reason in reasons}
        assert {name for name, value in labels.items() if value is not None} <= given
        for reason in reasons:
            assert reason.sentence in text
            assert reason.rule
            assert reason.phrase or reason.observation == "No Finding"


def test_case_and_line_breaks_do_not_matter() -> None:
    texts = [text for _, text, _ in CASES if ":" not in text]
    for change in (str.upper, lambda text: text.replace(" ", "\n", 1), lambda text: f"  {text} "):
        assert label_reports([change(text) for text in texts]) == label_reports(texts)


def test_cases_side_by_side_do_not_disturb_each_other() -> None:
    """A report of two sentences has the mentions of both."""
    plain = [text for _, text, _ in CASES if ":" not in text and text.endswith(".")]
    for first, second in zip(plain[::2], plain[1::2], strict=False):
        both = Counter(explain_report(f"{first} {second}")[1])
        alone = Counter(explain_report(first)[1]) + Counter(explain_report(second)[1])
        for reasons in (both, alone):
            for reason in [r for r in reasons if r.observation in ("No Finding", "Cardiomegaly")]:
                del reasons[reason]  # these depend on the whole report
        assert both == alone


def test_no_phrase_stands_for_two_things() -> None:
    lexicon.cache_clear()
    lexicon()  # raises if one does
