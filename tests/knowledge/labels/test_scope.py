"""What a cue governs and what a line is: sentences with the values that a radiologist means."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import label_reports

SHORT = dict(zip("EC CM LO LL ED CO PN AT PX PE PO FX SD NF".split(), OBSERVATIONS, strict=True))
FILE = Path(__file__).parent / "fixtures" / "scope_cases.yaml"
ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "cases" / "labels.txt"

Case = tuple[str, dict[str, set[int | None]]]


def wanted(text: str) -> dict[str, set[int | None]]:
    """Observation → values that are right: "PE=1 PN=-1|0 FX=_"."""
    pairs = (pair.split("=") for pair in text.split())
    return {
        SHORT[name]: {None if value == "_" else int(value) for value in values.split("|")}
        for name, values in pairs
    }


def shared_cases(text: str) -> Iterator[Case]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            said, want = line.rsplit(" => ", 1)
            yield said.replace("\\n", "\n"), wanted(want)


def own_cases() -> list[Case]:
    kinds = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return [(said, wanted(want)) for cases in kinds.values() for said, want in cases]


def wrong(cases: list[Case]) -> list[str]:
    found = label_reports([said for said, _ in cases])
    return [
        f"{said!r}: {name} is {labels[name]}, not {values}"
        for (said, want), labels in zip(cases, found, strict=True)
        for name, values in want.items()
        if labels[name] not in values
    ]


def test_every_sentence_of_the_given_cases_is_right() -> None:
    if not SHARED.exists():
        pytest.skip("shared/cases/labels.txt is not beside the checkout")
    cases = list(shared_cases(SHARED.read_text(encoding="utf-8")))
    assert len(cases) >= 40
    assert wrong(cases) == []
