"""The example that docs/evaluation.md computes by hand."""

import math
from pathlib import Path

import pytest

from kia.evaluation.language.scores import LanguageScorer, clean_report

ROOT = Path(__file__).resolve().parents[2]
REFS = ["The heart is big.", "Lungs are clear."]
HYPS = ["The heart is normal.", "Lungs are clear. No effusion."]

BY_HAND = {
    "bleu_1": 8 / 12,
    "bleu_2": math.sqrt(8 / 12 * 5 / 10),
    "bleu_3": (8 / 12 * 5 / 10 * 3 / 8) ** (1 / 3),
    "bleu_4": (8 / 12 * 5 / 10 * 3 / 8 * 1 / 6) ** (1 / 4),
    "rouge_l": (0.8 + 2.44 * (4 / 7) / (1 + 1.44 * (4 / 7))) / 2,
    "cider": (
        10 / 4 * (3 / 4 + 2 / 4 + 1 / 3)
        + 10 / 4 * (3 / 15**0.5 + 3 / 18**0.5 + 2 / 10**0.5 + 1 / 4**0.5) * math.exp(-9 / 72)
    )
    / 2,
}


def test_the_scores_are_those_computed_by_hand() -> None:
    assert [clean_report(report) for report in REFS + HYPS] == [
        "the heart is big .",
        "lungs are clear .",
        "the heart is normal .",
        "lungs are clear . no effusion .",
    ]
    with LanguageScorer(REFS, metrics=tuple(BY_HAND)) as scorer:
        values = scorer.score(HYPS, "r2gen-full").values
    assert {name: values[name] for name in BY_HAND} == pytest.approx(BY_HAND)


def test_the_page_prints_them() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    section = page.split("### By hand")[1].split("## Clinical")[0]
    for name, value in BY_HAND.items():
        assert f"{value:.4f}".removeprefix("0") in section, name
