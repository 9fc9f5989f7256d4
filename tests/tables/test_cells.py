"""Missing values, ids and numbers: the words of pandas, R, SQL and spreadsheets."""

import datetime
import math
import re
from pathlib import Path

import pytest

from kia.tables.cells import MISSING, identity, is_missing, number, text_of
from kia.tables.columns import ALIASES


@pytest.mark.parametrize(
    "value",
    [
        *(None, math.nan, "", "  ", "\t", "nan", "NaN", "N/A", "n/a", "NA", "NULL", "null", "None"),
        *(" none ", "#NAME?", "#N/A", "#VALUE!", "#REF!", "#DIV/0!", "Err:510", "<NA>", "NaT"),
    ],
)
def test_words_for_nothing_are_missing(value):
    assert is_missing(value)


@pytest.mark.parametrize(
    "value", ["None.", "none seen", "N/A today", "nano", 0, 0.0, False, "-", []]
)
def test_what_holds_more_is_not(value):
    assert not is_missing(value)


def test_in_prose_none_is_an_answer():
    assert not is_missing("None", prose=True)
    assert is_missing("#NAME?", prose=True)
    assert is_missing(" ", prose=True)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((50000001, "50000001"), (50000001.0, "50000001"), ("50000001.0", "50000001")),
        *((" 7 ", "7"), ("7,0", "7"), ("-7.00", "-7"), ("s50.0", "s50.0"), ("1.5", "1.5")),
        *(("1.2.840.0", "1.2.840.0"), ("007", "007"), (1.5, "1.5")),
        (datetime.datetime(2024, 1, 2), "2024-01-02"),
    ],
)
def test_ids_lose_the_fraction_that_programs_give_them(value, name):
    assert identity(value) == name


@pytest.mark.parametrize("value", [True, [1], {"a": 1}, 1.2345678901234567e19])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(ValueError, match="id"):
        identity(value)


def test_numbers_may_have_a_decimal_comma():
    assert number("0,25") == number(" 0.25 ") == number(0.25) == 0.25
    for value in ("", "1.234,5", "a", None, True, [1]):
        with pytest.raises(ValueError):
            number(value)


def test_texts_of_numbers_and_dates_are_as_written():
    assert text_of(3.0) == "3"
    assert text_of(datetime.date(2024, 1, 2)) == "2024-01-02"
    assert text_of(datetime.datetime(2024, 1, 2, 3, 4)) == "2024-01-02 03:04:00"


def test_the_document_names_every_word_for_nothing_and_every_name_of_a_column():
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
    words = {word.lower() for word in re.findall("`([^`\n]+)`", text)}
    assert {word for word in MISSING if not word.startswith("err:")} - {""} <= words
    assert {name for names in ALIASES.values() for name in names} <= words
    for names in ALIASES.values():
        assert ", ".join(f"`{name}`" for name in names) in text  # in their order
