"""Sentences about an earlier study, told from those about this one."""

import pytest

from kia.evaluation.priors import compares_with_prior, prior_rate, sentence_spans, sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "The heart is unchanged in size.",
        "Interval removal of the tube.",
        "Slightly larger compared to the earlier film.",
        "No significant interval change.",
        "No acute interval change.",
        "Lung volumes remain low.",
        "There is no change.",
        "Degenerative changes are again noted.",
        "Stable cardiomegaly.",
        "The effusion has resolved.",
        "Lower lung volumes than on prior.",
        "A nodule seen on the previous chest CT.",
        "New right basilar opacity.",
        "The opacity persists.",
    ],
)
def test_words_that_need_an_earlier_study_are_found(sentence: str) -> None:
    assert compares_with_prior(sentence)
    assert compares_with_prior(sentence.upper())


@pytest.mark.parametrize(
    "sentence",
    [
        "The lungs are clear.",
        "There are degenerative changes of the spine.",
        "No acute changes of the bones.",
        "No acute bony changes.",
        "The remaining osseous structures are unremarkable.",
        "Findings consistent with prior granulomatous disease.",
        "Deformity from previous rib fractures.",
        "Changes of prior CABG.",
        "Mildly increased interstitial markings.",
        "Lung volumes are decreased.",
    ],
)
def test_what_one_image_shows_is_no_comparison(sentence: str) -> None:
    assert not compares_with_prior(sentence)


def test_the_rate_counts_sentences_of_all_reports() -> None:
    """1 of 4 sentences, by hand; "1.5 cm" ends none."""
    reports = ["A nodule of 1.5 cm. It is unchanged.", "Lungs are clear! Heart normal.", "", " . "]
    assert sentences(reports[0]) == ["A nodule of 1.5 cm.", "It is unchanged."]
    assert prior_rate(reports) == 0.25
    assert prior_rate([""]) == 0.0


def test_sentence_spans_leave_out_white_space_and_what_holds_no_letter() -> None:
    text = "  The heart is large.  1.5 cm nodule;\n\n 2. \nNo effusion "
    spans = sentence_spans(text)
    assert [text[a:b] for a, b in spans] == ["The heart is large.", "1.5 cm nodule;", "No effusion"]
