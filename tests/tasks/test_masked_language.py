"""Eq. 5: cross-entropy at masked positions only, read with the image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kia.tasks.masked_language import masked_language_loss, masked_language_rows
from kia.tasks.text_rows import encode_rows


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


def loss(model, batch):
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    features = encode_rows(model, images, {"mlm": masked_language_rows(batch)})["mlm"]
    return masked_language_loss(model, batch, features)


def test_equals_the_mean_cross_entropy_of_masked_words(model, make_batch, alone, log_softmax):
    batch = make_batch(4)
    images = model.encode_images(batch.pixel_values, batch.view_ids)
    tower, tokens, each = model.text_cross_encoder, batch.input_ids.shape[1], []
    for study in range(4):
        ids, mask = batch.masked_input_ids[study], batch.attention_mask[study]
        features = alone(model, tower, images, study, ids, mask)
        scores = log_softmax(model.word_logits(features, tower).detach().numpy())
        for place in np.flatnonzero((ids != batch.input_ids[study]).numpy()):
            assert study * tokens + place in batch.masked_positions
            each.append(-scores[place, batch.input_ids[study, place]])
    result = loss(model, batch)
    assert result.count == len(each) > 3
    assert result.mean.item() == pytest.approx(np.mean(each), rel=1e-5)


def test_even_scores_cost_ln_v_a_word(make_model, make_batch):
    model = make_model()
    torch.nn.init.zeros_(model.text_tower.word.weight)
    assert loss(model, make_batch(3)).mean.item() == pytest.approx(np.log(40), rel=1e-6)


def test_only_targets_at_masked_positions_count(model, make_batch):
    batch = make_batch(3)
    unmasked = batch.input_ids.clone()
    unmasked.view(-1)[~torch.isin(torch.arange(unmasked.numel()), batch.masked_positions)] = 11
    assert loss(model, replace(batch, input_ids=unmasked)).total == loss(model, batch).total


def test_each_report_reads_its_own_image(model, make_batch):
    batch = make_batch(3, masked=1)
    pixels = batch.pixel_values.clone()
    pixels[1] = -pixels[1]
    rows = {"mlm": masked_language_rows(batch)}
    before = encode_rows(model, model.encode_images(batch.pixel_values, batch.view_ids), rows)
    after = encode_rows(model, model.encode_images(pixels, batch.view_ids), rows)
    changed = (before["mlm"] - after["mlm"]).abs().amax((1, 2))
    assert changed[1] > 1e-3
    assert changed[[0, 2]].max() < 1e-6


def test_no_masked_word_is_a_connected_zero(make_model, make_batch):
    model = make_model()
    result = loss(model, make_batch(2, masked=0)).mean
    result.backward()
    assert result == 0
    grad = model.word_prediction.dense.weight.grad
    assert grad is not None and not grad.any()
