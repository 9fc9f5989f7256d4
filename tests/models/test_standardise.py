"""Standardised features: of the tokens of an image, and before the contrastive head."""

from typing import Any

import numpy as np
import pytest
import torch

from kia.models import KIAModel, MomentumEncoders
from kia.models.heads import ContrastiveProjection, Standardise


def test_standardised_tokens_have_mean_0_and_deviation_1_over_all_images(build: Any) -> None:
    plain, standardised = build(), build(image={"standardise": True, "dropout": 0.0})
    standardised.load_state_dict(plain.state_dict(), strict=False)
    pixels = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        before = plain.image_encoder(pixels).double().numpy()
        after = standardised.train().image_encoder(pixels)
    spread = np.sqrt(before.var((0, 1)) + standardised.image_encoder.token_norm.eps)
    assert np.allclose(after.numpy(), (before - before.mean((0, 1))) / spread, atol=1e-4)


def test_masked_images_leave_the_statistics_of_tokens_alone(build: Any) -> None:
    encoder = build(image={"standardise": True}).train().image_encoder
    statistics = encoder.token_norm.running_mean
    before = statistics.clone()
    pixels = torch.randn(3, 1, 32, 32)
    encoder(pixels, torch.ones(3, 16, dtype=torch.bool))
    assert torch.equal(statistics, before)
    encoder(pixels)
    assert not torch.equal(statistics, before)


def test_the_global_feature_is_that_of_the_class_token(build: Any) -> None:
    model = build(image={"standardise": True})
    pixels, views = torch.randn(2, 2, 1, 32, 32), torch.tensor([[0, 1]] * 2)
    with torch.no_grad():
        features = model.encode_images(pixels, views)
    per_view = features.sequence.unflatten(1, (2, -1))
    assert torch.allclose(features.pooled, per_view[:, :, 0].mean(1), atol=1e-6)


def test_standardise_is_batch_norm_without_scale_by_its_formula() -> None:
    layer = Standardise(5)
    rows = torch.randn(7, 5) * 3 + 2
    x = rows.double().numpy()
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + layer.eps)
    assert np.allclose(layer(rows).numpy(), expected, atol=1e-5)
    # torch's running statistics: 0.95 old + 0.05 new, the variance unbiased
    assert np.allclose(layer.running_mean.numpy(), 0.05 * x.mean(0), atol=1e-6)
    assert np.allclose(layer.running_var.numpy(), 0.95 + 0.05 * x.var(0, ddof=1), atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_one_uses_the_running_statistics(training: bool) -> None:
    layer = Standardise(4)
    for _ in range(50):
        layer(torch.randn(16, 4) * 2 + 1)
    layer.train(training)
    one = torch.randn(1, 4)
    assert layer.running_mean is not None and layer.running_var is not None
    expected = (one - layer.running_mean) / torch.sqrt(layer.running_var + layer.eps)
    before = layer.running_mean.clone()
    assert torch.allclose(layer(one), expected, atol=1e-6)
    assert torch.equal(layer.running_mean, before)


def test_a_standardised_projection_has_no_bias_and_no_common_direction() -> None:
    head = ContrastiveProjection(8, 6, standardise=True)
    assert head.projection.bias is None
    shared = torch.randn(8) * 100
    rows = torch.randn(64, 8)
    near = ContrastiveProjection(8, 6)(rows + shared)
    apart = head(rows + shared)
    assert (near @ near.T).mean() > 0.99
    assert (apart @ apart.T).mean().abs() < 0.05


def test_running_statistics_are_saved_with_the_model(build: Any, tmp_path: Any) -> None:
    model = build(standardise_projections=True)
    model.image_projection.train()
    model.image_projection(torch.randn(16, 32) + 3)
    model.eval().save_pretrained(tmp_path)
    again = KIAModel.from_pretrained(tmp_path)
    rows = torch.randn(4, 32)
    assert torch.equal(again.eval().image_projection(rows), model.image_projection(rows))


def test_momentum_statistics_follow_in_training_only(build: Any) -> None:
    momentum = MomentumEncoders(build(standardise_projections=True), 0.9, queue=4)
    pixels, views = torch.randn(3, 2, 1, 32, 32), torch.tensor([[0, 1]] * 3)
    ids, mask = torch.randint(4, 50, (3, 6)), torch.ones(3, 6, dtype=torch.bool)
    statistics = momentum.image_projection.standardise.running_mean
    momentum.eval()
    before = statistics.clone()
    momentum.embed(pixels, views, None, ids, mask)
    assert torch.equal(statistics, before)
    momentum.train()
    momentum.embed(pixels, views, None, ids, mask)
    assert not torch.equal(statistics, before)
    assert not momentum.image_tower.training
