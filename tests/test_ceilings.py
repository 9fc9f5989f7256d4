"""The most that scores can reach: references as word pieces give them back."""

import json
from pathlib import Path
from typing import Any

import pytest

from kia.ceilings import ceilings, written_back
from kia.evaluation.language.scores import PROTOCOLS
from kia.processing import KIAProcessor, train_tokenizer

REFERENCES = [
    "A 2.5 cm left-sided nodule. No pneumothorax.",
    "Degenerative changes of the T-spine and/or T11. Heart size is normal.",
    "Heart size is normal. The lungs are clear.",
]
METRICS = ("bleu_1", "bleu_4", "rouge_l", "cider")


@pytest.fixture(scope="module")
def processor() -> KIAProcessor:
    return KIAProcessor(train_tokenizer(REFERENCES * 3, 400), image_size=32)


def test_a_tokenizer_that_gives_all_back_costs_nothing(processor: KIAProcessor) -> None:
    found = ceilings(processor, REFERENCES, REFERENCES, metrics=METRICS)
    assert found["tokenizer"] == found["lower_case"]
    # references against themselves, where nothing is cut or unknown: BLEU and ROUGE-L are 1
    for metric in ("bleu_1", "bleu_4", "rouge_l"):
        assert found["lower_case"]["r2gen-full"][metric] == pytest.approx(1)


def test_a_tokenizer_that_parts_words_is_seen(processor: KIAProcessor, monkeypatch: Any) -> None:
    monkeypatch.setattr("kia.processing.processor.closed_up", lambda text: text)
    monkeypatch.setattr(processor, "_marks", {})
    found = ceilings(processor, REFERENCES, REFERENCES, metrics=METRICS)
    assert found["tokenizer"]["r2gen-full"]["bleu_4"] < 0.9


def test_an_empty_reference_stays_one(processor: KIAProcessor) -> None:
    assert written_back(processor, ["", REFERENCES[2]]) == ["", REFERENCES[2].lower()]


def test_kia_evaluate_prints_and_writes_them(kia_command: Any, tmp_path: Path) -> None:
    file, out = tmp_path / "r.jsonl", tmp_path / "scores.json"
    lines = (json.dumps({"id": str(i), "report": r}) for i, r in enumerate(REFERENCES))
    file.write_text("\n".join(lines))
    words = ("--references", str(file), "--tokenizer", "kia-small-iu-xray", "--json", str(out))
    code, printed, err = kia_command("evaluate", str(file), *words)
    assert code == 0, err
    assert "the most that scores can reach" in printed
    found = json.loads(out.read_text())["ceilings"]
    assert {*found} == {"lower_case", "tokenizer", "without_last_full_stop"}
    assert all({*protocols} == {*PROTOCOLS} for protocols in found.values())
