"""The r2gen conventions. Expected texts: the design's list of quirks, worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kia.evaluation.language.protocols import build_vocabulary, clean_report, map_reference


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("T11. Fracture", "t1fracture ."),  # "1. " is deleted anywhere
        ("A 1.5 cm nodule.", "a 15 cm nodule ."),
        ("", " ."),
        ("1. Clear. 2. Normal.", "clear . normal ."),
        ("Clear 3. Normal.", "clear . normal ."),
        ("Clear... Normal.", "clear . normal ."),
        ("Clear. . Normal.", "clear .  . normal ."),  # an empty sentence survives
        ("Follow-up #2 $ ~ a|b.", "follow-up #2 $ ~ a|b ."),
        ("a;b<c=d>e?f@g", "abcdefg ."),  # the range from ':' to '['
        ("\"x\" 'y' a/b c\\d (e) [f] {g}", "x y ab cd e f g ."),
        ("5% & 3*2 + 1^2 _ !", "5  32  12   ."),
    ],
)
def test_iu_cleaning_copies_the_published_quirks(raw: str, cleaned: str) -> None:
    assert clean_report(raw) == cleaned


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("Clear.\nNormal.", "clear . normal ."),
        ("Seen at ____ today.", "seen at  today ."),
        ("Clear.      Normal.", "clear . normal ."),
        ("Clear........ Normal.", "clear . normal ."),
    ],
)
def test_mimic_cleaning_also_joins_lines_and_collapses_runs(raw: str, cleaned: str) -> None:
    assert clean_report(raw, "mimic") == cleaned


def test_iu_cleaning_leaves_line_breaks_alone() -> None:
    assert clean_report("Clear.\nNormal.") == "clear\nnormal ."


@given(st.text())
def test_cleaned_text_has_no_deleted_character_and_ends_with_a_stop(text: str) -> None:
    cleaned = clean_report(text)
    assert cleaned.endswith(" .")
    assert not set(cleaned) & set(",?;*!%^&_+():<=>@[]{}\"/\\'ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def test_vocabulary_keeps_words_seen_three_times_and_the_unknown_word() -> None:
    reports = ["Lungs clear."] * 2 + ["Lungs."]
    assert build_vocabulary(reports) == {"lungs", ".", "<unk>"}


def test_mimic_vocabulary_needs_ten() -> None:
    assert build_vocabulary(["lungs"] * 9, "mimic") == {"<unk>"}
    assert build_vocabulary(["lungs"] * 10, "mimic") == {"lungs", ".", "<unk>"}


@pytest.mark.parametrize(("dataset", "most"), [("iu", 59), ("mimic", 99)])
def test_references_are_mapped_and_cut(dataset: str, most: int) -> None:
    words = map_reference("lungs rare " * 100, frozenset({"lungs", "<unk>"}), dataset).split()
    assert len(words) == most
    assert words[:2] == ["lungs", "<unk>"]


@pytest.mark.iu_xray
def test_iu_vocabulary_has_760_entries(iu_reports: dict[str, list[str]]) -> None:
    assert len(build_vocabulary(iu_reports["train"])) == 760
