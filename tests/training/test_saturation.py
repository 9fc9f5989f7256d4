"""Likeness of images and evenness of attention, against their formulas."""

import math
from itertools import permutations

import pytest
import torch
from torch.nn.functional import normalize

from kia.data.batches.batch import BatchBuilder
from kia.models.transformer_block import CrossAttention
from kia.training.build import build_model, build_processor
from kia.training.saturation import mean_cosine, saturation


@pytest.fixture
def parts(configured, dataset, tmp_path):
    """A function that makes a model (some tasks off), and the builder of its batches."""

    def make(**changes):
        config = configured(**changes)
        torch.manual_seed(0)
        processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
        builder = BatchBuilder(
            dataset, processor, config.data, config.tasks, patch_size=16, max_tokens=150, seed=0
        )
        return build_model(config, processor), builder

    return make


def test_the_mean_cosine_is_that_of_all_pairs():
    vectors = normalize(torch.randn(7, 5, generator=torch.Generator().manual_seed(0)))
    pairs = [float(vectors[i] @ vectors[j]) for i, j in permutations(range(7), 2)]
    assert mean_cosine(vectors) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    assert mean_cosine(vectors[:1].expand(4, 5)) == pytest.approx(1.0)


def test_attention_to_all_places_alike_has_entropy_1(parts, dataset):
    model, builder = parts()
    for module in model.text_decoder.modules():
        if isinstance(module, CrossAttention):
            torch.nn.init.zeros_(module.query.weight)
            torch.nn.init.zeros_(module.query.bias)
    found = saturation(model, builder, dataset.indices("val"))
    assert found["attention_entropy"] == pytest.approx(1.0, abs=1e-5)


def test_attention_to_two_places_has_the_entropy_of_two(parts, dataset, monkeypatch):
    model, builder = parts()
    real = CrossAttention.weights

    def two(self, *arguments):
        weights = torch.zeros_like(real(self, *arguments))
        weights[..., :2] = 0.5
        return weights

    monkeypatch.setattr(CrossAttention, "weights", two)
    study = dataset.indices("val")[:1]
    places = len(dataset.views(int(study[0]))) * (1 + (64 // 16) ** 2)  # [CLS] and patches
    found = saturation(model, builder, study)
    assert found == {"attention_entropy": pytest.approx(math.log(2) / math.log(places))}


def test_the_mode_is_left_and_without_contrast_there_is_no_likeness(parts, dataset):
    model, builder = parts()
    model.train()
    assert saturation(model, builder, dataset.indices("val")).keys() == {
        *("attention_entropy", "image_similarity")
    }
    assert model.training
    model, builder = parts(tasks__irc__weight=0)
    assert saturation(model, builder, dataset.indices("val")).keys() == {"attention_entropy"}
