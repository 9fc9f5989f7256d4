"""Eq. 8: cross-entropy of each next token from those before it and the image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kia.tasks.report_generation import report_generation_loss, report_generation_rows
from kia.tasks.text_rows import encode_rows

START, SEP = 2, 1


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "separate"])
def model(make_model, request):
    return make_model(share=request.param)


def features(model, batch):
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    return encode_rows(model, images, {"rg": report_generation_rows(model, batch)})["rg"]


def each_token(model, batch, alone, log_softmax):
    """ln p over the vocabulary before each real next token, report by report, and the targets."""
    images = model.encode_images(batch.pixel_values, batch.view_ids)
    tower, scores, targets = model.text_decoder, [], []
    for study in range(len(batch.studies)):
        ids, mask = batch.input_ids[study].clone(), batch.attention_mask[study]
        ids[0] = START
        out = alone(model, tower, images, study, ids, mask, causal=True)
        words = ids[mask][1:].tolist()
        assert words[-1] == SEP
        scores.append(log_softmax(model.word_logits(out, tower).detach().numpy())[:-1])
        targets += words
    return np.concatenate(scores), targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_the_mean_cross_entropy_of_next_tokens(
    model, make_batch, alone, log_softmax, smoothing
):
    batch = make_batch(4)
    scores, targets = each_token(model, batch, alone, log_softmax)
    hit = -scores[np.arange(len(targets)), targets]
    expected = (1 - smoothing) * hit - smoothing * scores.mean(1)
    result = report_generation_loss(model, batch, features(model, batch), smoothing)
    assert result.count == len(targets)
    assert result.mean.item() == pytest.approx(expected.mean(), rel=1e-5)


def test_a_token_does_not_see_later_ones(model, make_batch):
    batch = make_batch(3)
    ids = batch.input_ids.clone()
    ids[:, 2] = torch.where(ids[:, 2] == 9, 10, 9)
    change = (features(model, replace(batch, input_ids=ids)) - features(model, batch)).abs()
    assert change[:, :2].max() < 1e-6
    assert change[:, 2].amax(1).min() > 1e-3


def test_a_batch_of_one_short_report(model, make_batch, alone, log_softmax):
    batch = make_batch(1, seed=3)
    scores, targets = each_token(model, batch, alone, log_softmax)
    result = report_generation_loss(model, batch, features(model, batch))
    expected = -scores[np.arange(len(targets)), targets].mean()
    assert result.mean.item() == pytest.approx(expected, rel=1e-5)
