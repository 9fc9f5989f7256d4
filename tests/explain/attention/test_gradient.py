"""Integrated gradients by their axiom, their answers against those of attention, mean images."""

import numpy as np
import pytest
import torch

from kia.config import validate
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.explain.attention.gradient import (
    attributions,
    label_gradient,
    mean_images,
    raised,
    report_gradient,
)
from kia.explain.attention.weights import label_attention, report_attention
from kia.processing import KIAProcessor, train_tokenizer
from kia.studies import Study, StudyImage
from kia.training.build import build_model

REPORTS = ["Small left pleural effusion. The heart is normal."] * 3


@pytest.fixture(scope="module")
def processor():
    return KIAProcessor(train_tokenizer(REPORTS, 300), image_size=32)


@pytest.fixture(scope="module", params=["conv", "patch"])
def model(request, processor):
    image = {"width": 16, "depth": 2, "heads": 2, "ffn_width": 24, "patch_size": 16}
    image |= {"stem": request.param}
    text = {"width": 24, "depth": 2, "heads": 3, "ffn_width": 32, "max_positions": 200}
    parts = {"image_encoder": image, "text_encoder": text | {"vocab_size": 300}}
    torch.manual_seed(0)
    config = validate({"model": parts | {"image_size": 32, "initializer_range": 0.3}}, "test")
    return build_model(config, processor).eval()


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    return {
        "pixel_values": torch.randn(2, 2, 1, 32, 32),
        "view_ids": torch.tensor([[0, 1]] * 2),
        "view_mask": torch.tensor([[True, True], [True, False]]),
    }


def reference():
    torch.manual_seed(2)
    return torch.randn(2, 1, 32, 32) / 2


@pytest.mark.parametrize("compared", [False, True])
def test_what_pixels_add_sums_to_the_answer_without_them(model, inputs, compared):
    """Completeness: Sundararajan et al. 2017, Proposition 1."""
    start = reference() if compared else torch.zeros(2, 1, 32, 32)

    def answer(images):
        return images.sequence[:, ::2].square().sum(-1).log()

    added = attributions(model, inputs, answer, start if compared else None, steps=64)
    assert added.shape == (2, 5, 2, 32, 32)
    before = {**inputs, "pixel_values": start[inputs["view_ids"]]}
    with torch.no_grad():
        difference = answer(model.encode_images(**inputs)) - answer(model.encode_images(**before))
    assert difference.abs().max() > 0.1
    torch.testing.assert_close(added.sum((2, 3, 4)), difference, rtol=0.03, atol=0.02)


def test_pixels_that_are_those_of_the_reference_add_nothing(model, inputs):
    lit = inputs["pixel_values"].clone() * 0
    lit[:, 0, :, 16:, :16] = 1  # patch 2 of the frontal view alone is not grey
    given = {**inputs, "pixel_values": lit}

    def answer(images):
        return images.sequence.square().sum((1, 2))[:, None]

    added = attributions(model, given, answer, None)
    assert added[:, 0, 0, 16:, :16].abs().sum() > 0
    added[:, 0, 0, 16:, :16] = 0
    assert not added.any()


def test_cells_are_the_positive_mean_of_those_around_them_by_hand():
    added = torch.zeros(1, 1, 1, 6, 6)
    added[..., 0, 0], added[..., 0, 1], added[..., 4:, 4:] = 8, -4, -1
    # cells of 2 × 2 pixels: the first 8 / 4 = 2, others 0; a corner has 4 cells around it
    expected = [2 / 4, 2 / 6, 0, 2 / 6, 2 / 9, 0, 0, 0, 0]
    torch.testing.assert_close(raised(added, 2).flatten(), torch.tensor(expected))


def test_maps_are_of_cells_and_sum_to_one(model, processor, inputs):
    found = label_gradient(model, processor, inputs, reference())
    assert found.maps.shape == (2, 14, 2, 256)  # 32 pixels, 8 cells along a patch of 16
    torch.testing.assert_close(found.maps.sum((2, 3)), torch.ones(2, 14))
    assert not found.maps[1, :, 1].any()  # the view that does not exist
    assert (found.maps >= 0).all() and found.maps.std(dim=1).max() > 1e-4
    some = label_gradient(model, processor, inputs, reference(), torch.tensor([[3, 0], [7, 7]]))
    for study, place, name in ((0, 0, 3), (0, 1, 0), (1, 0, 7), (1, 1, 7)):
        torch.testing.assert_close(some.maps[study, place], found.maps[study, name])
        torch.testing.assert_close(some.present[study, place], found.present[study, name])


def test_words_have_the_probabilities_of_attention(model, processor, inputs):
    reports = ["Small left effusion.", "The heart."]
    found = report_gradient(model, processor, inputs, reports)
    same = report_attention(model, processor, inputs, reports)
    for one, other in zip(found, same, strict=True):
        assert (one.text, one.spans) == (other.text, other.spans)
        torch.testing.assert_close(one.probability, other.probability)
        torch.testing.assert_close(one.maps.sum((1, 2)), torch.ones(len(one.spans)))


def test_answers_are_those_of_attention_and_a_study_does_not_depend_on_its_batch(
    model, processor, inputs
):
    found = label_gradient(model, processor, inputs)
    torch.testing.assert_close(found.present, label_attention(model, processor, inputs).present)
    alone = {name: value[1:2, :1] for name, value in inputs.items() if name != "view_mask"}
    own = label_gradient(model, processor, alone)
    torch.testing.assert_close(own.maps[0, :, 0], found.maps[1, :, 0], rtol=1e-3, atol=1e-5)
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():  # whatever the caller does
        torch.testing.assert_close(label_gradient(model, processor, inputs).maps, found.maps)


def test_mean_images_are_those_of_each_view_of_training_studies(processor, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 32, 32), np.uint8)
    with DatasetWriter(tmp_path / "data", image_size=32, source="test") as writer:
        for row, count in enumerate((2, 1, 2)):
            images = tuple(StudyImage(f"{v}.png", v) for v in ("frontal", "lateral")[:count])
            split = "train" if row < 2 else "test"
            writer.add(Study(f"s{row}", split, images, "Clear."), pixels[row, :count])
    found = mean_images(processor, PreparedDataset.open(tmp_path / "data"))
    frontal = pixels[:2, 0].mean(0) / 127.5 - 1
    np.testing.assert_allclose(found[0, 0], frontal, atol=1e-5)
    np.testing.assert_allclose(found[1, 0], pixels[0, 1] / 127.5 - 1, atol=1e-5)
