"""Reports as a person reads them; expected texts are written by hand."""

import re

import pytest
import torch

from kia.evaluation.priors import sentences
from kia.readable import MARK, readable


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("the heart is large . no effusion .", "The heart is large. No effusion."),
        ("clear , without effusion", "Clear, without effusion."),
        ("a 1 . 5 x 2 . 3 cm nodule .", "A 1.5 x 2.3 cm nodule."),
        ("it measures 1. 5 cm. no change.", "It measures 1.5 cm. No change."),
        ("left - sided scarring and / or atelectasis .", "Left-sided scarring and/or atelectasis."),
        ("( arrow ) seen", "(Arrow) seen."),
        ("the patient ' s arm . there's 50 % loss", "The patient's arm. There's 50% loss."),
        ("ap and pa views . t12 , l1 - l2 .", "AP and PA views. T12, L1-L2."),
        ("picc lines . a picc in the svc .", "PICC lines. A PICC in the SVC."),
        ("the x - ray at 3 : 00 pm", "The X-ray at 3:00 pm."),
        ("NO ACUTE DISEASE", "No acute disease."),
        ("FINDINGS: clear. Kerley B lines", "FINDINGS: clear. Kerley B lines."),
        ("is it new ? yes !", "Is it new? Yes!"),
        ("the lungs are clear . .", "The lungs are clear."),
        ("1 . clear lungs . 2 . no effusion", "Clear lungs. No effusion."),
        ("there is no evidence of", "There is no evidence of …"),
        ("clear lungs ,", "Clear lungs …"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_case_punctuation_and_spacing(raw, read):
    assert readable(raw) == read


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        # an adjective or adverb is missing
        ("xxxx opacities in the left base .", "Opacities in the left base."),
        ("a xxxx opacity . an xxxx nodule .", "An opacity. A nodule."),
        ("There is XXXX XXXX scarring.", "There is scarring."),
        # what is missing may carry the meaning
        ("no xxxx effusion .", "No … effusion."),
        ("the heart is xxxx enlarged .", "The heart is … enlarged."),
        ("pulmonary xxxx are normal .", "Pulmonary … are normal."),
        ("low lung volumes xxxx atelectasis .", "Low lung volumes … atelectasis."),
        ("calcified lymph XXXX.", "Calcified lymph …"),
        ("the xxxx are grossly normal .", "The … are grossly normal."),
        # a clause is missing
        ("the lungs are clear , xxxx , and stable .", "The lungs are clear, and stable."),
        ("the lungs are clear , and xxxx .", "The lungs are clear."),
        ("compared to the film dated xxxx .", "Compared to the film."),
        ("improved since xxxx , effusion .", "Improved, effusion."),
        ("clear lungs ( xxxx ) .", "Clear lungs."),
        # nothing is left
        ("xxxx are normal . no effusion .", "No effusion."),
        ("xxxx xxxx , xxxx .", ""),
        ("no xxxx .", ""),
        # other marks, and words that are joined to them
        ("larger compared to ___ .", "Larger compared to …"),
        ("compared to _ _ _ , the heart is large .", "Compared to …, the heart is large."),
        ("discussed with [**Name 12**] today .", "Discussed with … today."),
        ("discussed with [ * * name 12 * * ] today", "Discussed with … today."),
        ("a x - xxxx shows a dual - xxxx device .", "A … shows a dual-… device."),
        ("the xxxx - a - xxxx is in the svc .", "The … is in the SVC."),
        ("these xxxx ' t contours are large .", "These contours are large."),
    ],
)
def test_words_that_were_taken_out(raw, read):
    assert readable(raw) == read


def test_a_measure_does_not_end_a_sentence():
    assert sentences("a 1. 5 cm nodule. 2 nodules.") == ["a 1. 5 cm nodule.", "2 nodules."]
    assert sentences("seen in 3. 5 ribs are old.") == ["seen in 3.", "5 ribs are old."]


def test_long_runs_of_marks_take_no_time():
    for text in ("x-" * 20_000, "_ " * 20_000, "[**" * 5_000, "xxxx , " * 5_000, "a-xxx-" * 5_000):
        assert not MARK.search(readable(text))


@pytest.mark.slow
@pytest.mark.iu_xray
def test_no_mark_is_left_of_real_reports(iu_xray):
    import json

    from kia.processing import KIAProcessor, train_tokenizer

    studies = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    reports = [study["report"] for split in studies.values() for study in split]
    processor = KIAProcessor(train_tokenizer(reports, 3000), image_size=32)
    rows = processor.encode(reports, max_words=10**6, max_tokens=10**6)
    decoded = [processor.decode(torch.tensor([row]))[0] for row in rows]
    wrong = re.compile(r"[xX]{3}|_|\*| [.,;:)]|\.\.|,[.,]|\( |  |^[a-z]|\w…|…\w|[.!?] [a-z]")
    for text in [*reports, *decoded]:
        read = readable(text)
        assert read and read[-1] in ".!?:…"
        assert not wrong.search(read), "a mark, a space or a small letter is left"
