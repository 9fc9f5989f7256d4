from hypothesis import given
from hypothesis import strategies as st

from kia.data.reports import normalise, target_text, words


def test_white_space_and_control_characters_collapse():
    assert normalise(" Heart\tsize \r\n normal.\x00\u200b ") == "Heart size normal."


def test_target_is_lower_case_and_keeps_de_identified_words():
    assert target_text("No XXXX  of effusion.") == "no xxxx of effusion."


def test_words_keep_decimals_hyphens_and_levels_together():
    assert words("A 3.5 cm well-defined mass at T8-T9.No effusion (XXXX).") == [
        *("a", "3.5", "cm", "well-defined", "mass", "at", "t8-t9", "."),
        *("no", "effusion", "(", "xxxx", ")", "."),
    ]


@given(st.text())
def test_target_text_is_stable(text):
    once = target_text(text)
    assert normalise(once) == once
    assert "  " not in once
