"""Which sentences say the same and which contradict: cases marked by hand."""

import numpy as np
import pytest

from kia.explain.comparison.page import COLOURS, compared_block, comparison_page, marks
from kia.explain.comparison.sentences import compare_reports, comparison_measure
from kia.knowledge.stated import statements

SAME, NEITHER = "same", None

# (sentence, reference's sentence, what a reader says)
PAIRS = [
    # normal statements in other words
    ("the cardiac silhouette is within normal limits .", "Heart size is normal.", SAME),
    ("The heart is not enlarged.", "Heart size is normal.", SAME),
    ("The aorta is unremarkable.", "The aorta is normal.", SAME),
    ("The left lung is clear.", "The lungs are clear.", SAME),
    ("No pneumothorax.", "No pleural effusion or pneumothorax.", SAME),
    ("The heart and mediastinum are normal.", "Heart size is normal.", SAME),
    ("Heart size is normal.", "The lungs are clear.", NEITHER),
    ("The aorta is normal.", "The trachea is midline.", NEITHER),
    ("Lung volumes are normal.", "There is a small nodule in the right lung.", NEITHER),
    ("Lung volumes are normal.", "The lung volumes are normal.", SAME),
    # negation
    ("There is no pleural effusion.", "Small left pleural effusion.", "presence"),
    ("Right pneumothorax.", "No pneumothorax or effusion.", "presence"),
    ("The heart is enlarged.", "Heart size is normal.", "presence"),
    ("The aorta is tortuous.", "The aorta is normal.", "presence"),
    ("Left lower lobe consolidation.", "The lungs are clear.", "presence"),
    ("Left lower lobe consolidation.", "No focal airspace disease in the right lung.", NEITHER),
    ("No left effusion.", "Small right pleural effusion.", NEITHER),  # of another side
    # side and height
    ("Right pleural effusion.", "Left pleural effusion.", "place"),
    ("Left pleural effusion.", "There is an effusion on the left.", SAME),
    ("Bilateral pleural effusions.", "Left pleural effusion.", SAME),
    ("Pleural effusion.", "Left pleural effusion.", SAME),
    ("Left upper lobe opacity.", "Left lower lobe opacity.", "place"),
    ("Left basilar opacity.", "Left lower lobe opacity.", SAME),
    ("The right lung is clear.", "The left lung is clear.", NEITHER),
    # severity
    ("Large left pleural effusion.", "Trace left pleural effusion.", "severity"),
    ("Moderate cardiomegaly.", "Mild cardiomegaly.", SAME),
    ("Severe cardiomegaly.", "The heart is mildly enlarged.", "severity"),
    ("Severe cardiomegaly.", "Cardiomegaly with mild pulmonary edema.", SAME),
    # uncertain
    ("Possible left pleural effusion.", "There may be a left effusion.", SAME),
    ("Possible left pleural effusion.", "Left pleural effusion.", NEITHER),
    ("Possible left pleural effusion.", "No pleural effusion.", NEITHER),
    # nothing that is known
    ("xxxx xxxx .", "XXXX XXXX.", SAME),
    ("xxxx .", "Comparison to the film of XXXX.", NEITHER),
    # of two statements one agrees and one contradicts
    ("Right effusion and no pneumothorax.", "Left effusion and no pneumothorax.", "place"),
]


@pytest.mark.parametrize(("sentence", "reference", "expected"), PAIRS)
def test_a_pair_of_sentences_is_what_a_reader_says(sentence, reference, expected):
    (one,) = compare_reports(sentence, reference)
    found = one.against.get(0, SAME if one.same == (0,) else NEITHER)
    assert found == expected, (statements(sentence), statements(reference))


@pytest.mark.parametrize(("sentence", "reference", "expected"), PAIRS)
def test_presence_place_and_severity_contradict_both_ways(sentence, reference, expected):
    (one,) = compare_reports(reference, sentence)
    assert (one.against.get(0) == expected) or expected in (SAME, NEITHER)
    assert bool(one.same) is (expected == SAME)


def test_what_the_other_report_says_elsewhere_is_no_contradiction():
    reference = "Small left pleural effusion. Large right pleural effusion."
    left, right = compare_reports("Left effusion. Right effusion.", reference)
    assert (left.same, right.same) == ((0,), (1,))
    assert not left.against and not right.against
    (only,) = compare_reports("Small left effusion.", reference)
    assert (only.same, only.against) == ((0,), {})
    (wrong,) = compare_reports("No effusion.", reference)
    assert wrong.against == {0: "presence", 1: "presence"}


def test_clear_lungs_contradict_an_opacity_though_the_other_lung_is_clear():
    (one,) = compare_reports("The lungs are clear.", "Left opacity. The right lung is clear.")
    assert (one.same, one.against) == ((1,), {0: "presence"})
    (one,) = compare_reports("The right lung is clear.", "Left opacity. The lungs are clear.")
    assert (one.same, one.against) == ((1,), {})
    one, _ = compare_reports("The right lung is clear. Left opacity.", "Lungs are clear.")
    assert (one.same, one.against) == ((0,), {})


def test_the_nearest_sentence_comes_first_and_one_may_say_two():
    reference = "No pneumothorax or effusion. No pleural effusion. Heart size is normal."
    exact, both = compare_reports("No pleural effusion. Normal heart and lungs clear.", reference)
    assert exact.same == (1, 0)
    assert both.same == (2,)
    (joined,) = compare_reports("No effusion and the heart is normal.", reference)
    assert set(joined.same) == {0, 1, 2}


def test_a_statement_has_the_place_and_severity_of_its_own_noun():
    found = {one.topic: one for one in statements("Small left effusion and right pneumothorax.")}
    effusion, pneumothorax = found["Pleural Effusion"], found["Pneumothorax"]
    assert (effusion.places, effusion.grades) == ({"left"}, {1})
    assert (pneumothorax.places, pneumothorax.grades) == ({"right"}, set())


def test_shares_are_those_counted_by_hand():
    reference = "Heart size is normal. No effusion. The aorta is tortuous. XXXX."  # 4 sentences
    report = "The heart is normal. Left effusion. No pneumothorax."  # same, against, neither
    measure = comparison_measure([report, ""], [reference, "The lungs are clear."])
    values = measure.values()
    assert values["said"] == pytest.approx(1 / 5)
    assert values["supported"] == pytest.approx(1 / 3)
    assert values["contradicting"] == pytest.approx(1 / 3)
    assert np.isnan(comparison_measure([""], [""]).values()["said"])


def test_marks_say_without_colour_what_colours_say():
    one, two = compare_reports("Heart size is normal. Left effusion.", "No effusion. Normal heart.")
    assert marks(one) == ("2", "")
    assert marks(two) == ("", "≠1 presence")
    block = compared_block(
        "<id>", {"reference": "No effusion. Normal heart.", "<b>x": "Left effusion. Normal heart."}
    )
    assert block.count(f"background:{COLOURS[1]}") == 2  # the reference's and the report's
    assert block.count(f"background:{COLOURS[0]}") == 1
    assert "≠1 presence" in block and 'class="against"' in block
    assert "&lt;id&gt;" in block and "&lt;b&gt;x" in block and "<b>" not in block
    whole = comparison_page([block], "t", "n")
    assert "patient data" in whole and "default-src 'none'" in whole and "<script" not in whole


def test_colours_of_neighbours_differ_for_every_kind_of_colour_vision():
    """Viénot, Brettel and Mollon (1999): how protanopes and deuteranopes see sRGB."""
    views = {
        "all": np.eye(3),
        "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }
    codes = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS]
    linear = np.array(codes) ** 2.2
    for name, matrix in views.items():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=-1) * 255
        neighbours = gaps[np.arange(len(seen)), (np.arange(len(seen)) + 1) % len(seen)]
        assert neighbours.min() > 20, (name, neighbours.round())
    brightness = linear @ [0.2126, 0.7152, 0.0722]
    assert (brightness + 0.05).min() / 0.05 > 7  # black text, WCAG 2.2 level AAA
