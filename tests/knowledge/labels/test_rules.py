"""The built-in labeler beyond single sentences: aggregation, No Finding, sections, errors."""

import pytest

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.lexicon import sentences_of
from kia.knowledge.labels.rules import OTHER, explain_report, label_reports
from kia.knowledge.phrases import PhraseTree, Term

NOTHING = dict.fromkeys(OBSERVATIONS)


def labels_of(text: str) -> dict[str, int]:
    (labels,) = label_reports([text])
    assert list(labels) == list(OBSERVATIONS)
    return {name: value for name, value in labels.items() if value is not None}


# CheXpert: absent and uncertain make uncertain, even beside present; else present wins
@pytest.mark.parametrize(
    ("said", "label"),
    [
        (("present",), 1),
        (("absent",), 0),
        (("uncertain",), -1),
        (("present", "absent"), 1),
        (("present", "uncertain"), 1),
        (("absent", "uncertain"), -1),
        (("present", "absent", "uncertain"), -1),
    ],
)
def test_mentions_are_aggregated_as_in_chexpert(said: tuple[str, ...], label: int) -> None:
    words = {
        "present": "Left effusion.",
        "absent": "No effusion.",
        "uncertain": "Possible effusion.",
    }
    for order in (said, said[::-1]):
        assert labels_of(" ".join(words[word] for word in order))["Pleural Effusion"] == label


def test_heart_failure_leaves_an_unmentioned_cardiomegaly_uncertain() -> None:
    assert labels_of("Congestive heart failure.") == {"Edema": 1, "Cardiomegaly": -1}
    assert labels_of("Possible CHF.") == {"Edema": -1, "Cardiomegaly": -1}
    assert labels_of("Heart size is normal. Mild heart failure.")["Cardiomegaly"] == 0
    assert "Cardiomegaly" not in labels_of("No heart failure.")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Clear lungs. Normal heart.", 1),
        ("The endotracheal tube is in place. Clear lungs.", 1),  # devices are no finding
        ("Clear lungs. Possible device over the neck.", 1),
        ("Clear lungs. Scoliosis.", None),  # abnormal, but none of the 13
        ("Clear lungs. No scoliosis.", 1),
        ("Clear lungs. Possible emphysema.", None),
        ("Clear lungs. Small effusion.", None),
        ("Clear lungs. An effusion may be present.", None),
    ],
)
def test_no_finding(text: str, label: int | None) -> None:
    assert label_reports([text])[0]["No Finding"] == label


@pytest.mark.parametrize(
    "text", ["", " \n\t ", "…", "肺部清晰。", "\x00\x07", "12345", "lorem ipsum"]
)
def test_text_without_a_known_word_has_no_labels(text: str) -> None:
    """CheXpert's labeler would call it No Finding; nothing was read, so nothing is claimed."""
    assert label_reports([text]) == [NOTHING]


def test_one_labels_for_each_report() -> None:
    assert label_reports([]) == []
    assert [one["Edema"] for one in label_reports(["Edema.", "", "No edema."])] == [1, None, 0]


def test_sections_that_do_not_describe_the_image_are_skipped() -> None:
    text = """FINAL REPORT
 EXAMINATION:  CHEST (PORTABLE AP)

 INDICATION:  ___ year old man with CHF // eval for pneumothorax

 COMPARISON:  ___, pneumonia then.

 FINDINGS:

 Small left effusion.
 Heart: Normal

 IMPRESSION: No pneumothorax."""
    assert labels_of(text) == {"Pleural Effusion": 1, "Cardiomegaly": 0, "Pneumothorax": 0}


def test_a_blank_line_ends_a_skipped_section() -> None:
    assert labels_of("HISTORY: Pneumonia.\n\nThe heart is enlarged.") == {"Cardiomegaly": 1}
    assert labels_of("HISTORY:\n\nPneumonia.\n\nThe heart is enlarged.") == {"Cardiomegaly": 1}


def test_sentences() -> None:
    text = "Clear apex.There is 2.5 cm nodule vs. mass? Yes. 1. Dr. A 2. No edema\n- Line\nLungs: x"
    assert sentences_of(text) == [
        *("Clear apex.", "There is 2.5 cm nodule vs. mass? Yes.", "1. Dr.", "A "),
        *("2. No edema", "- Line", "Lungs: x"),
    ]


def test_reasons_name_sentence_phrase_and_rule() -> None:
    labels, reasons = explain_report("Scoliosis. There is no definite pleural effusion.")
    assert labels["Pleural Effusion"] == 0
    assert [tuple(reason) for reason in reasons] == [
        (OTHER, 1, "Scoliosis.", "scoliosis", "stated"),
        (
            *("Pleural Effusion", 0, "There is no definite pleural effusion."),
            *("pleural effusion", "negation: no"),
        ),
    ]
    (edema, heart) = explain_report("Worsening CHF.")[1]
    assert (edema.observation, edema.value) == ("Edema", 1)
    assert (heart.observation, heart.value, heart.phrase) == ("Cardiomegaly", -1, "chf")


def test_phrases() -> None:
    tree = PhraseTree()
    tree.add(["a|<b> c? d_e|f"], Term("x", 1), {"b": ["q", "r s"]})
    read = [("a d e", 3), ("a c f", 3), ("r s f", 3), ("q c d e", 4), ("a c", None), ("c f", None)]
    for words, end in read:
        found = tree.find([*words.split(), "z"])
        assert [(one.start, one.end) for one in found] == ([] if end is None else [(0, end)])
    with pytest.raises(ValueError, match="both"):
        tree.add(["q f"], Term("y", 2), {})


# Errors that reading development studies of IU X-Ray and free trials taught, in our own words:
# what the labeler once said wrongly, and why it does not any more.
REGRESSIONS = [
    # "no change in A or B" lists what is there, it does not choose
    ("No significant change in right pneumothorax or effusion.", "Pneumothorax", 1),
    ("No change in the size of the effusion.", "Pleural Effusion", 1),
    # anatomy takes the predicate of its own before one that stands ahead
    ("Enlarged heart, mediastinum is normal.", "Enlarged Cardiomediastinum", 0),
    # plurals in -ies
    ("Clear lungs with metallic foreign bodies.", "No Finding", None),
    # "not enlarged" was read as "not … changed"
    ("The heart is not enlarged.", "Cardiomegaly", 0),
    # "large" after "no" is no predicate that uses the negation up
    ("No large effusion.", "Pleural Effusion", 0),
    # the size says where the negation of a list ends
    ("No pneumothorax, moderate effusion.", "Pleural Effusion", 1),
    ("No consolidation, moderate effusion or pneumothorax.", "Pleural Effusion", 0),
    # a verb ends the list too
    ("No pneumothorax is seen, cardiomegaly is stable.", "Cardiomegaly", 1),
    # an uncertain cue does not reach back over its list
    ("Opacities could be due to edema or pneumonia.", "Lung Opacity", 1),
    # "compatible with" ends nothing, "with" does
    ("This may be compatible with pneumonia.", "Pneumonia", -1),
    ("No pneumothorax with trace effusion.", "Pleural Effusion", 1),
    # a statement about one view is none about the study
    ("A nodule is seen on the frontal view, not identified on the lateral view.", "Lung Lesion", 1),
    # a predicate may belong to a mention
    ("Heart size and vascular engorgement appear within limits of normal.", "Edema", 0),
    ("Heart size and vascular engorgement appear within limits of normal.", "Cardiomegaly", 0),
    ("The tracheostomy tube is normal in position.", "Support Devices", 1),
    # "obscured by the heart" is nothing about the heart
    ("The left base is obscured by the heart.", "Cardiomegaly", None),
    # bones, calcium and clinical questions
    ("Expansile lesion of the right ninth rib.", "Lung Lesion", None),
    ("The thoracic aorta is calcified.", "No Finding", None),
    ("CT is more sensitive in detecting small nodules.", "Lung Lesion", None),
    ("Given the history of cancer, a metastasis cannot be excluded.", "Lung Lesion", -1),
    ("Prior tuberculous infection.", "Pneumonia", None),
    ("No hardware failure.", "Edema", None),
    ("Fractured sternal wires.", "Fracture", None),
    # the clinical setting hedges
    ("Opacity compatible with pneumonia in the appropriate clinical setting.", "Pneumonia", -1),
    # one clear lung says nothing of the other
    ("The right lung is clear.", "Lung Opacity", None),
    # what follows "which" still describes the anatomy before it
    ("This accentuates the heart, which is likely enlarged.", "Cardiomegaly", 1),
    ("Pleural thickening/scarring.", "Pleural Other", 1),
    ("There is no longer evidence of edema.", "Edema", 0),
    ("It is unclear whether there is an effusion.", "Pleural Effusion", -1),
]


@pytest.mark.parametrize(("text", "name", "label"), REGRESSIONS)
def test_errors_that_were_understood(text: str, name: str, label: int | None) -> None:
    assert label_reports([text])[0][name] == label
