"""Several reports for a study: which they are, their scores, and the choice among them."""

import math

import numpy as np
import pytest
import torch
from tests.random_model import random_model
from transformers import TopPLogitsWarper

from kia import KIAConfig, KIAForReportGeneration
from kia.agreement import label_agreement
from kia.candidates import (
    TOP_P,
    _highest_in_nucleus,
    _Nucleus,
    chosen_reports,
    log_probabilities,
    report_candidates,
)
from kia.config import GenerationConfig
from kia.errors import ModelError
from kia.generation import dataset_inputs, image_features, write_reports
from kia.matching import matching_degree

CONFIG = GenerationConfig(beams=3, max_tokens=12, candidates=6, rerank="match")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A model with random weights that tells images apart, and five studies."""
    _, dataset, processor, model = random_model(
        tmp_path_factory.mktemp("candidates"), positions=100
    )
    with torch.no_grad():
        model.match_prediction.classifier.weight.normal_(std=0.2)
        model.word_prediction.bias[processor.token_id("[SEP]")] += 2.0  # some end early
        pieces = processor.spell(range(processor.vocab_size))
        parts = [n for n, piece in enumerate(pieces) if piece.startswith(("##", "[JO", "[SP"))]
        model.word_prediction.bias[parts] -= 20.0  # texts that are read as they were written
    model.config.label_shares = [0.3] * 14
    return model, processor, dataset_inputs(dataset, processor, np.arange(5))


def one(inputs, study: int):
    return {k: None if v is None else v[study : study + 1] for k, v in inputs.items()}


def test_drawn_tokens_have_the_probabilities_of_the_nucleus():
    """Four words of 50, 30, 15 and 5 %: the nucleus of 90 % is the first three."""
    draws, rows = 40, 250
    draw = _Nucleus(seed=1, rows=rows)
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(2 * rows, 4)
    counts = torch.zeros(4)
    for _ in range(draws):
        chosen = draw(torch.zeros(2 * rows, 1, dtype=torch.int64), scores)
        assert set(chosen.unique().tolist()) == {0.0, -math.inf}
        token = chosen.argmax(-1)
        assert torch.equal(token[:rows], token[rows:])  # of every study alike
        counts += torch.bincount(token[:rows], minlength=4)
    assert counts[3] == 0
    expected = torch.tensor([0.5, 0.3, 0.15]) / 0.95
    tolerance = 4 * (expected * (1 - expected) / (draws * rows)).sqrt()
    assert ((counts[:3] / (draws * rows) - expected).abs() < tolerance).all()


def test_the_nucleus_is_that_of_transformers():
    """Flat and steep rows, of one to several hundred words, with noise that prefers the rarest."""
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(64, 500, generator=random) * torch.linspace(0.1, 12, 64)[:, None]
    kept = TopPLogitsWarper(TOP_P)(torch.zeros(64, 1, dtype=torch.int64), scores)
    counts = (kept > -math.inf).sum(1)
    assert counts.min() == 1 and counts.max() > 400
    for noise in (torch.randn(64, 500, generator=random), -2 * scores, -2 * kept.sort(-1).values):
        expected = (kept.log_softmax(-1) + noise.clamp(-1e6, 1e6)).argmax(-1, keepdim=True)
        found = _highest_in_nucleus(scores.softmax(-1), noise.clamp(-1e6, 1e6))
        assert torch.equal(found, expected)


def test_log_probabilities_are_those_of_decoding(made):
    """The scores that transformers reports for what it writes, beams and all."""
    model, processor, inputs = made
    images = image_features(model, inputs)
    options = {"num_beams": 3, "num_return_sequences": 3, "max_new_tokens": 40}
    theirs = KIAForReportGeneration(KIAConfig(**model.config.to_dict())).eval()
    theirs.load_state_dict(model.state_dict())
    answer = theirs.generate(
        image_features=images,
        **options,
        do_sample=False,
        length_penalty=0.0,  # the score of a beam is then its log probability
        return_dict_in_generate=True,
        output_scores=True,
    )
    ended = (answer.sequences == processor.token_id("[SEP]")).any(1)
    texts = processor.decode(answer.sequences)
    # a text whose word pieces are other ones is another text to T-Dec
    encoded = processor.encode(texts, max_words=90, max_tokens=90)
    written = [
        row[1 : 1 + len(ids)].tolist() for row, ids in zip(answer.sequences, encoded, strict=True)
    ]
    same = [w == ids for w, ids in zip(written, encoded, strict=True)]
    rows = [row for row in range(15) if ended[row] and same[row]]
    assert len(rows) > 4
    found = log_probabilities(
        model, processor, images, [texts[row] for row in rows], [row // 3 for row in rows]
    )
    for row, (log_probability, tokens) in zip(rows, found, strict=True):
        assert log_probability == pytest.approx(answer.sequences_scores[row].item(), rel=1e-4)
        assert tokens == len(encoded[row]) + 1


def test_the_length_of_other_reports_does_not_matter(made):
    model, processor, inputs = made
    images = image_features(model, inputs)
    texts = ["the heart is large.", "clear", "no effusion is seen on the left side."]
    together = log_probabilities(model, processor, images, texts, [2, 0, 2])
    for text, study, (chance, tokens) in zip(texts, [2, 0, 2], together, strict=True):
        alone = log_probabilities(model, processor, images, [text], [study])
        assert alone[0] == (pytest.approx(chance, rel=1e-4), tokens)


def test_the_beam_comes_first_then_other_reports(made):
    model, processor, inputs = made
    config = CONFIG.model_copy(update={"rerank": "none"})
    found = report_candidates(model, processor, inputs, config)
    beam = write_reports(model, processor, inputs, config)
    for study, own in enumerate(found):
        texts = [candidate.text for candidate in own]
        assert texts[0] == beam[study]
        assert len(texts) == len(set(texts)) == 6
    few = report_candidates(model, processor, inputs, config.model_copy(update={"candidates": 2}))
    assert [[c.text for c in own] for own in few] == [[c.text for c in own[:2]] for own in found]
    assert chosen_reports(model, processor, inputs, config) == beam


@pytest.mark.parametrize("rerank", ["match", "labels", "likelihood", "match+likelihood"])
def test_the_best_by_the_measure_comes_first(made, rerank):
    model, processor, inputs = made
    config = CONFIG.model_copy(update={"rerank": rerank})
    found = report_candidates(model, processor, inputs, config)
    moved = 0
    for study, own in enumerate(found):
        alone, texts = one(inputs, study), [candidate.text for candidate in own]
        degrees = matching_degree(model, processor, alone, texts, [0] * len(texts))
        images = image_features(model, alone)
        chances = log_probabilities(model, processor, images, texts, [0] * len(texts))
        measures = {
            "match": degrees.tolist(),
            "labels": label_agreement(model, processor, alone, texts, [0] * len(texts)).tolist(),
            "likelihood": [sum_ / tokens for sum_, tokens in chances],
        }
        both = zip(measures["match"], measures["likelihood"], strict=True)
        measures["match+likelihood"] = [math.log(match) + chance for match, chance in both]
        ordered = measures[rerank]
        assert ordered == pytest.approx(sorted(ordered, reverse=True), rel=1e-4)
        assert [candidate.match for candidate in own] == pytest.approx(measures["match"], rel=1e-3)
        moved += texts[0] != write_reports(model, processor, alone, config)[0]
    assert moved  # or any order would pass
    assert chosen_reports(model, processor, inputs, config) == [own[0].text for own in found]


def test_a_study_does_not_depend_on_its_batch_but_on_the_seed(made):
    model, processor, inputs = made
    texts = lambda found: [[candidate.text for candidate in own] for own in found]  # noqa: E731
    together = texts(report_candidates(model, processor, inputs, CONFIG, seed=3))
    for study in range(5):
        alone = texts(report_candidates(model, processor, one(inputs, study), CONFIG, seed=3))
        assert alone == together[study : study + 1]
    assert texts(report_candidates(model, processor, inputs, CONFIG, seed=4)) != together


def test_images_are_encoded_once(made, monkeypatch):
    model, processor, inputs = made
    calls = []
    encode = type(model).encode_images
    monkeypatch.setattr(
        type(model), "encode_images", lambda *args, **more: calls.append(1) or encode(*args, **more)
    )
    report_candidates(model, processor, inputs, CONFIG)
    assert len(calls) == 1


def test_a_model_without_matching_cannot_rerank_by_it(made, monkeypatch):
    model, processor, inputs = made
    monkeypatch.setattr(model.config, "tasks", ["rg"])
    with pytest.raises(ModelError, match=r"tasks\.irm\.weight"):
        report_candidates(model, processor, inputs, CONFIG)
    config = CONFIG.model_copy(update={"rerank": "likelihood"})
    found = report_candidates(model, processor, inputs, config)
    assert {candidate.match for own in found for candidate in own} == {None}
