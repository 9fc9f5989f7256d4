"""Whole sentences, worded as training reports word them; expected texts by hand."""

import pytest

from kia.knowledge.sentences import sentences
from kia.processing import Seen
from kia.wording import has_sound, is_sound, mended

TRAINING = [
    "The heart is normal in size. No pleural effusion. The lungs are clear.",
    "There is a calcified granuloma in the left lung base. Heart size is stable.",
    "There is a calcified granuloma in the right upper lobe. XXXX are intact.",
    "Small left pleural effusion. The heart is enlarged. No XXXX effusion.",
]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen.learn([], TRAINING)


@pytest.mark.parametrize(
    ("sentence", "sound"),
    [
        ("the lungs are clear .", True),  # as the decoder spaces it
        ("no pleural effusion.", True),
        # put together from rows of four: "... granuloma in the | left lung base"
        ("there is a calcified granuloma in the left lung base.", True),
        ("there is a calcified granuloma in the left upper lobe.", False),
        ("calcified granuloma in the left lung base.", False),  # no sentence begins so
        ("the heart is clear.", False),
        ("heart size is stable.", False),  # compares with an earlier film
        ("no xxxx effusion.", False),  # a gap
        ("xxxx are intact.", False),  # nothing is left of it
        ("", False),
    ],
)
def test_what_may_stand_in_a_report(sentence: str, sound: bool, seen: Seen) -> None:
    assert is_sound(sentence, seen) is sound


def test_rows_put_sentences_together(seen: Seen) -> None:
    """Every four words in a row of it, and its two ends, are in some training sentence."""
    known = Seen.learn([], ["There is a small effusion on the left. There is a small nodule."])
    assert known.words("There is a small nodule.")
    assert not known.words("There is a small nodule on the left.")
    more = Seen.learn([], ["There is a small nodule on the right.", "A small nodule on the left."])
    assert more.words("There is a small nodule on the left.")
    assert not more.words("nodule on the left.")  # a torn-off end


def test_an_unsound_sentence_is_replaced_by_one_that_says_the_same(seen: Seen) -> None:
    reports = [
        "the heart is large and enlarged in. no pleural effusion.",
        "the lungs are clear. the heart is normal in size.",
        "the heart is enlarged. small left pleural effusion.",
    ]
    assert mended(reports, seen) == "the heart is enlarged. no pleural effusion."


def test_what_has_no_match_is_left_out_and_nothing_stands_twice(seen: Seen) -> None:
    reports = [
        "no pleural effusion. spine of left in. no effusion pleural.",
        "no pleural effusion.",
    ]
    assert mended(reports, seen) == "no pleural effusion."


def test_a_report_without_a_sound_sentence_stays(seen: Seen) -> None:
    report = "clear heart. large spine."
    assert mended([report, "the lungs are clear."], seen) == report
    assert not has_sound(report, seen)


def test_a_sound_report_stays_as_it_is(seen: Seen) -> None:
    report = "The heart is normal in size.  The lungs are clear."
    assert mended([report], seen) == report
    assert all(is_sound(sentence, seen) for sentence in sentences(report))
