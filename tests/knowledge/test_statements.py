"""A report cut into statements: lines, numbers, marks, answers; wrapped lines stay whole."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.knowledge.statements import statements


def cut(text):
    return [text[start:end].strip() for start, end in statements(text)]


@pytest.mark.parametrize(
    "between",
    ["\n", "\r\n", "\r", "\t", "<br>", "<BR/>", "</p><p>", " | ", " // ", " → ", " => "],
)
def test_marks_between_statements(between):
    first, second = cut(f"No edema{between}Small effusion")
    assert (first.rstrip(".;\x1b "), second) == ("No edema", "Small effusion")


@pytest.mark.parametrize(
    "between", ["\n\n", ". ", "; ", " - ", " -- ", " / ", "\x0b", "\u2028", " • ", ".\x1b "]
)
def test_more_marks_between_statements(between):
    test_marks_between_statements(between)


@pytest.mark.parametrize(
    "numbers", [("(1) ", "(2) "), ("1. ", "2. "), ("1: ", "2: "), ("1) ", "2) "), ("a) ", "b) ")]
)
def test_numbers_begin_a_statement(numbers):
    first, second = cut(f"{numbers[0]}No edema {numbers[1]}Small effusion")
    assert first.endswith("No edema") and second.endswith("Small effusion")


@pytest.mark.parametrize(
    "text",
    [
        "No evidence of edema or\npleural effusion.",
        "There is no\n  Edema",  # the line ends in a connective
        "Small effusion with\nadjacent atelectasis",
        "No edema,\nEffusion or pneumothorax",
        "THERE IS NO EVIDENCE OF FOCAL CONSOLIDATION OR PLEURAL\nEFFUSION",
        "Stable position of the catheters and of the ascending\nPICC line",
        "A nodule of 2.5 cm vs. a scar at T11.",
        "Effusion? No.",
        "Effusion\tno",
        "Effusion | none",
        "Effusion - no",
        "Edema (-)",
        "At 10:30 unchanged",
    ],
)
def test_what_is_one_statement(text):
    assert len(statements(text)) == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Edema: no, effusion: yes", ["Edema: no,", "effusion: yes"]),
        ("Edema: No Effusion: Yes", ["Edema: No", "Effusion: Yes"]),
        ("Edema\tno\nEffusion\tyes", ["Edema\tno", "Effusion\tyes"]),
        ("Edema: no\nEffusion: yes", ["Edema: no", "Effusion: yes"]),
        ("- No edema\n- Effusion", ["- No edema", "- Effusion"]),
        ("NO EDEMA\nSMALL EFFUSION", ["NO EDEMA", "SMALL EFFUSION"]),
        ("no edema\nsmall effusion", ["no edema", "small effusion"]),
        ("No edema. No.", ["No edema.", "No."]),  # an answer to nothing
        ("in the apex.There is", ["in the apex.", "There is"]),
        ("", []),
        (" \n\t|", []),
    ],
)
def test_where_statements_end(text, parts):
    assert cut(text) == parts


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aN. \n\r\t|<br>/:;?-(1)→•no", max_size=60))
def test_statements_are_in_order_and_leave_no_word_out(text):
    spans = statements(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))
    kept = "".join(text[start:end] for start, end in spans)
    assert kept.count("N") == text.count("N")


@pytest.mark.parametrize(
    "piece", ["no a or\n", "a\r", "a: no ", "<br>", "? no ", "(1) ", "a-\n", "\t"]
)
def test_time_grows_with_the_length(piece):
    def seconds(size):
        text = piece * (size // len(piece))
        start = time.process_time()
        statements(text)
        return time.process_time() - start

    small = max(min(seconds(20_000) for _ in range(3)), 0.002)
    assert min(seconds(160_000) for _ in range(2)) < 24 * small
