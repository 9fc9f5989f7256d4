"""What a cue governs and what a line is: sentences with the values that a radiologist means."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import label_reports

# in the order of the 14
NAMES = ["EC", "CM", "LO", "LL", "ED", "CO", "PN", "AT", "PX", "PE", "PO", "FX", "SD", "NF"]
SHORT = dict(zip(NAMES, OBSERVATIONS, strict=True))
FIXTURES = Path(__file__).parent / "fixtures"
SHARED = Path(__file__).resolve().parents[4] / "shared" / "cases" / "labels.txt"

Case = tuple[str, dict[str, set[int | None]]]


def wanted(text: str) -> dict[str, set[int | None]]:
    """Observation → values that are right: "PE=1 PN=-1|0 FX=_"."""
    pairs = (pair.split("=") for pair in text.split())
    return {
        SHORT[name]: {None if value == "_" else int(value) for value in values.split("|")}
        for name, values in pairs
    }


def given_cases(text: str) -> Iterator[Case]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            said, want = line.rsplit(" => ", 1)
            yield said.replace("\\n", "\n"), wanted(want)


def own_cases(file: str) -> dict[str, list[Case]]:
    kinds = yaml.safe_load((FIXTURES / file).read_text(encoding="utf-8"))
    return {kind: [(said, wanted(want)) for said, want in kinds[kind]] for kind in kinds}


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
    cases = list(given_cases(SHARED.read_text(encoding="utf-8")))
    assert len(cases) >= 40
    assert wrong(cases) == []


@pytest.mark.parametrize("kind", own_cases("scope_cases.yaml"))
def test_the_200_sentences_written_before_the_rules(kind: str) -> None:
    assert wrong(own_cases("scope_cases.yaml")[kind]) == []


def test_they_are_200() -> None:
    said = [text for cases in own_cases("scope_cases.yaml").values() for text, _ in cases]
    assert len(said) == len(set(said)) == 200


@pytest.mark.parametrize("kind", ["understood", "written last"])
def test_the_sentences_that_taught_the_rules(kind: str) -> None:
    assert wrong(own_cases("scope_taught.yaml")[kind]) == []


@pytest.mark.parametrize("case", own_cases("scope_taught.yaml")["not understood"])
@pytest.mark.xfail(strict=True, reason="not understood (docs/labeler.md)")
def test_what_is_not_understood(case: Case) -> None:
    assert wrong([case]) == []


@pytest.mark.parametrize("text", ["No effusion.\n" * 100_000, "\x00\x1b", "", " \r\n\t"])
def test_reports_of_any_size_and_of_control_characters_have_labels(text: str) -> None:
    (labels,) = label_reports([text])
    assert labels["Pleural Effusion"] == (0 if "effusion" in text else None)


def test_control_characters_between_words_do_no_harm() -> None:
    (labels,) = label_reports(["No\x00 effusion.\x1b Left\x07 pneumothorax."])
    assert (labels["Pleural Effusion"], labels["Pneumothorax"]) == (0, 1)


@pytest.mark.slow
def test_a_report_of_five_megabytes_has_labels() -> None:
    (labels,) = label_reports(["No effusion or edema with a left opacity and " * 112_000])
    assert labels["Lung Opacity"] == 1
