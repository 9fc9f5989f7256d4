"""A report organ by organ; expected states are those that a person reads in the sentence."""

import pytest

from kia.knowledge.organs import ORGANS
from kia.knowledge.structure import (
    STATES,
    organs_of,
    structure_report,
    structure_sentences,
)

READ = [
    ("The lungs are clear.", "lungs normal"),
    ("Lungs are not clear.", "lungs uncertain"),
    ("No pneumothorax or pleural effusion.", "pleura normal"),
    ("Small left pleural effusion.", "pleura abnormal"),
    ("Possible small pleural effusion.", "pleura uncertain"),
    ("Lungs are clear without effusion.", "lungs normal, pleura normal"),
    ("Heart and mediastinum are normal.", "heart and mediastinum normal"),
    ("The heart is enlarged.", "heart and mediastinum abnormal"),
    ("The aorta is tortuous.", "heart and mediastinum abnormal"),
    ("Stable heart size.", "heart and mediastinum uncertain"),
    (
        "Heart size and pulmonary vascularity are normal.",
        "heart and mediastinum normal, lungs normal",
    ),
    ("The trachea is midline.", "heart and mediastinum normal"),
    ("No acute bony abnormality.", "bones normal"),
    ("Degenerative changes of the spine.", "bones abnormal"),
    ("Old right rib fractures.", "bones abnormal"),
    ("A right PICC ends in the superior vena cava.", "devices abnormal"),
    ("Endotracheal tube has been removed.", "devices normal"),
    ("Surgical clips in the right upper quadrant, from cholecystectomy.", "devices abnormal"),
    ("The right hemidiaphragm is elevated.", "other abnormal"),
    ("No free air under the diaphragm.", "other normal"),
    ("Calcified granuloma in the right base.", "lungs abnormal"),
    ("Calcified granuloma.", "lungs abnormal"),
    ("No acute cardiopulmonary disease.", "lungs normal, heart and mediastinum normal"),
    ("The lungs and pleural spaces show no acute abnormality.", "lungs normal, pleura normal"),
    ("No acute disease.", ""),
    ("PA and lateral views of the chest were obtained.", ""),
    ("This appears chronic.", ""),
    ("", ""),
]


@pytest.mark.parametrize(("sentence", "read"), READ, ids=[text or "empty" for text, _ in READ])
def test_what_a_sentence_says_of_which_organ(sentence: str, read: str) -> None:
    expected = dict(one.strip().rsplit(" ", 1) for one in read.split(",") if one.strip())
    assert dict(organs_of(sentence)) == expected


def test_an_organ_is_as_its_worst_sentence() -> None:
    report = (
        "Lungs are clear. Calcified granuloma in the left lung. Possible effusion. No effusion."
    )
    found = structure_report(report)
    assert list(found) == list(ORGANS)
    assert found["lungs"]["state"] == "abnormal"
    assert found["lungs"]["sentences"] == [
        *("Lungs are clear.", "Calcified granuloma in the left lung.")
    ]
    assert found["pleura"]["state"] == "uncertain"
    assert found["bones"] == {"state": "not mentioned", "sentences": []}


def test_sections_that_do_not_describe_the_image_are_left_out() -> None:
    report = "INDICATION: Pleural effusion.\n\nFINDINGS: The heart is enlarged."
    found = structure_report(report)
    assert found["pleura"]["state"] == "not mentioned"
    assert found["heart and mediastinum"]["state"] == "abnormal"


def test_numbers_are_those_of_the_sentences() -> None:
    found = structure_sentences(["Hello.", "The heart is large.", "No effusion.", "Normal heart."])
    assert found["heart and mediastinum"].sentences == (1, 3)
    assert found["pleura"].sentences == (2,)
    assert {one.state for one in found.values()} <= set(STATES)
