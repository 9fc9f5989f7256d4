"""What a person or a program is told about a study, on a model with random weights."""

import json

import numpy as np
import pytest
import torch
from tests.random_model import random_model

from kia.config import GenerationConfig
from kia.evaluation.priors import sentences
from kia.explain.attention.weights import label_attention, report_attention
from kia.explain.describe import describe
from kia.explain.evidence import Opinion, SentenceEvidence, report_evidence
from kia.generation import dataset_inputs, image_features, write_reports
from kia.knowledge.chexpert import OBSERVATIONS
from kia.matching import matching_degree
from kia.readable import NOTICE, readable

SETTINGS = GenerationConfig(beams=2, max_tokens=12)
REPORT = "the heart is large. small left effusion, xxxx. xxxx are normal. clear bones"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A model, its processor, and three studies of which the second has one view."""
    _, dataset, processor, model = random_model(tmp_path_factory.mktemp("describe"), positions=160)
    inputs = dataset_inputs(dataset, processor, np.arange(3))
    inputs["view_mask"] = torch.tensor([[True, True], [True, False], [True, True]])
    return model, processor, inputs


@pytest.fixture
def writes(monkeypatch):
    """Makes the decoder write a report of ours."""

    def write(report: str) -> None:
        monkeypatch.setattr(
            "kia.candidates.write_reports", lambda model, processor, images, *_, **__: [report] * 3
        )

    return write


def test_the_report_and_its_scores(made):
    model, processor, inputs = made
    found = describe(model, processor, inputs, SETTINGS)
    assert json.loads(json.dumps(found)) == found  # plain lists, numbers and texts
    raw = write_reports(model, processor, inputs, SETTINGS)
    assert [one["raw"] for one in found] == raw
    assert [one["report"] for one in found] == [readable(text) for text in raw]
    degrees = matching_degree(model, processor, inputs, raw)
    assert [one["match"] for one in found] == pytest.approx(degrees.tolist(), rel=1e-4)
    present = label_attention(model, processor, inputs).present
    for row, one in enumerate(found):
        assert list(one["findings"]) == list(OBSERVATIONS)
        assert list(one["findings"].values()) == pytest.approx(present[row].tolist(), rel=1e-4)
        assert one["notice"] == NOTICE == "Research only. Not for clinical use."
        assert one["candidates"] == []


def test_sentences_have_their_evidence(made, writes):
    model, processor, inputs = made
    writes(REPORT)
    found = describe(model, processor, inputs, SETTINGS)
    read = report_attention(model, processor, inputs, [REPORT] * 3)
    for row, one in enumerate(found):
        assert one["report"] == "The heart is large. Small left effusion. Clear bones."
        assert one["report"] == " ".join(each["text"] for each in one["sentences"])
        raws = [each["raw"] for each in one["sentences"]]
        assert raws == [text for text in sentences(REPORT) if "normal" not in text]
        heart, effusion, _ = one["sentences"]
        assert heart["finding_words"] == ["heart", "large"]
        assert (heart["opinions"][0]["observation"], heart["opinions"][0]["said"]) == (
            *("Cardiomegaly", 1),
        )
        assert [o["observation"] for o in effusion["opinions"]] == ["Pleural Effusion"]
        views = 1 if row == 1 else 2  # the second study has one view
        for each in one["sentences"]:
            attention = np.array(each["attention"])
            assert attention.shape == (views, 4, 4)
            assert attention.sum() == pytest.approx(1, abs=1e-4)
        words = [p for p, (a, b) in enumerate(read[row].spans) if REPORT[a:b] in ("heart", "large")]
        if len(words) == 2:  # whole words of this vocabulary
            expected = read[row].maps[words].mean(0)[:views].reshape(views, 4, 4)
            np.testing.assert_allclose(heart["attention"], expected, rtol=1e-3, atol=1e-6)
        for opinion in [*heart["opinions"], *effusion["opinions"]]:
            assert opinion["present"] == one["findings"][opinion["observation"]]
            assert opinion["agrees"] is ((opinion["present"] > 0.5) == (opinion["said"] == 1))


def test_candidates_are_listed_best_first(made):
    model, processor, inputs = made
    found = describe(model, processor, inputs, SETTINGS, candidates=5, rerank="match", seed=2)
    for one in found:
        listed = one["candidates"]
        keys = {"report", "raw", "match", "log_probability", "score"}
        assert len(listed) == 5 and set(listed[0]) == keys
        assert [c["score"] for c in listed] == [c["match"] for c in listed]
        assert (listed[0]["raw"], listed[0]["match"]) == (one["raw"], one["match"])
        assert [c["match"] for c in listed] == sorted((c["match"] for c in listed), reverse=True)
        assert all(candidate["log_probability"] < 0 for candidate in listed)


def test_encoded_studies_give_the_same(made):
    model, processor, inputs = made
    features = image_features(model, inputs)
    assert describe(model, processor, features, SETTINGS) == describe(
        model, processor, inputs, SETTINGS
    )


@pytest.mark.parametrize("tasks", [["rg"], ["mim", "rg", "irm"]])
def test_a_model_without_a_task_leaves_its_answers_out(made, tasks, monkeypatch):
    model, processor, inputs = made
    monkeypatch.setattr(model.config, "tasks", tasks)
    for one in describe(model, processor, inputs, SETTINGS):
        assert one["findings"] is None
        assert (one["match"] is None) is ("irm" not in tasks)
        assert all(each["opinions"] == [] and each["agrees"] is None for each in one["sentences"])


def test_an_empty_report_is_empty(made, writes):
    model, processor, inputs = made
    writes("")
    for one in describe(model, processor, inputs, SETTINGS):
        assert (one["report"], one["raw"], one["sentences"]) == ("", "", [])


def test_a_model_without_room_for_the_label_report_has_no_opinions(made, monkeypatch):
    model, processor, inputs = made
    monkeypatch.setitem(model.config.text_tower, "max_positions", 60)
    assert describe(model, processor, inputs, SETTINGS)[0]["findings"] is None
    assert report_evidence(model, processor, inputs, [REPORT] * 3, None)[0][0].opinions == ()


@pytest.mark.parametrize(
    ("answers", "agrees"),
    [((), None), ((None,), None), ((True, None), True), ((True, False), False), ((False,), False)],
)
def test_a_sentence_agrees_if_no_opinion_disagrees(answers, agrees):
    opinions = tuple(Opinion("Edema", 1, 0.5, answer) for answer in answers)
    one = SentenceEvidence("", (), 1.0, "attention", np.zeros((1, 1), np.float32), opinions)
    assert one.agrees is agrees
