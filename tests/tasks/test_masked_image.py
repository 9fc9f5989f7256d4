"""Eq. 4: L1 on hidden patches only, read with the report."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kia.tasks.masked_image import masked_image_loss
from kia.tasks.shared_features import SharedFeatures


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


def loss(model, batch):
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    text = model.text_encoder(batch.input_ids, batch.attention_mask[:, None, None, :])
    return masked_image_loss(model, batch, SharedFeatures(images, batch.report_ids, 0, text))


def patch(image, number, size=4):
    """Pixels of a patch of (S, S), counted row by row."""
    y, x = divmod(number, image.shape[-1] // size)
    return image[y * size : (y + 1) * size, x * size : (x + 1) * size]


def test_equals_the_mean_l1_over_hidden_pixels_of_each_view_encoded_alone(model, make_batch):
    batch = make_batch(3)
    encoder = model.image_cross_encoder
    differences = []
    for study in range(3):
        ids = batch.input_ids[study][batch.attention_mask[study]][None]
        report = model.text_encoder(ids)
        for view in range(2):
            features = encoder(
                batch.pixel_values[study, view][None],
                batch.image_mask[study, view][None],
                encoder.stack.context(report),
            )
            predicted = model.pixel_prediction(features)[0, 1:].detach().double().numpy()
            image = batch.pixel_values[study, view, 0].double().numpy()
            for number in np.flatnonzero(batch.image_mask[study, view].numpy()):
                true = patch(image, number)
                differences += np.abs(true - predicted[number].reshape(4, 4)).ravel().tolist()
    result = loss(model, batch)
    assert result.count == len(differences) == 16 * int(batch.image_mask.sum())
    assert result.mean.item() == pytest.approx(np.mean(differences), rel=1e-5)


def test_a_head_that_predicts_zero_pays_the_hidden_grey_values_and_no_others(
    make_model, make_batch
):
    model, batch = make_model(), make_batch(3)
    torch.nn.init.zeros_(model.pixel_prediction.projection.weight)
    torch.nn.init.zeros_(model.pixel_prediction.projection.bias)
    images = batch.pixel_values.numpy()[:, :, 0]
    hidden = [
        patch(images[b, w], n)
        for b, w, n in zip(*np.nonzero(batch.image_mask.numpy()), strict=True)
    ]
    expected = np.abs(np.stack(hidden)).mean()
    assert loss(model, batch).mean.item() == pytest.approx(expected, rel=1e-5)
    visible = ~batch.image_mask.unflatten(2, (4, 1, 4, 1)).expand(3, 2, 4, 4, 4, 4)
    visible = visible.reshape(3, 2, 1, 16, 16)
    other = replace(batch, pixel_values=torch.where(visible, 5.0, batch.pixel_values))
    assert loss(model, other).mean.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_hidden_pixels_do_not_reach_the_prediction(make_model, make_batch, stem):
    size = 64 if stem == "conv" else 16
    model, batch = make_model(stem=stem), make_batch(2, size=size)
    pixels = batch.pixel_values.flatten(0, 1).requires_grad_()
    hidden = batch.image_mask.flatten(0, 1)
    model.image_cross_encoder(pixels, hidden).square().sum().backward()
    side = size // 4
    grid = hidden.unflatten(1, (4, 4)).repeat_interleave(side, 1).repeat_interleave(side, 2)
    assert pixels.grad[:, 0][grid].abs().max() == 0
    assert pixels.grad[:, 0][~grid].abs().max() > 0


def test_the_report_is_read_without_its_padding(model, make_batch):
    batch = make_batch(4)
    ids = batch.input_ids.clone()
    ids[~batch.attention_mask] = 17
    assert (~batch.attention_mask).any()
    same = loss(model, replace(batch, input_ids=ids)).mean
    torch.testing.assert_close(same, loss(model, batch).mean)
    ids = batch.input_ids.clone()
    ids[:, 1] = 7
    assert abs(loss(model, replace(batch, input_ids=ids)).mean - loss(model, batch).mean) > 1e-4


def test_nothing_hidden_is_a_connected_zero(make_model, make_batch):
    model, batch = make_model(), make_batch(2, hidden=0)
    result = loss(model, batch).mean
    result.backward()
    assert result == 0
    for parameter in (model.pixel_prediction.projection.weight, model.image_tower.mask_token):
        assert parameter.grad is not None and not parameter.grad.any()


def test_an_absent_view_counts_for_nothing(model, make_batch):
    batch = make_batch(3, absent=((1, 1),))
    pixels = batch.pixel_values.clone()
    pixels[1, 1] = 9
    other = loss(model, replace(batch, pixel_values=pixels))
    assert other.mean == loss(model, batch).mean
    assert other.count == 16 * int(batch.image_mask.sum())
