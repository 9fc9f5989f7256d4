"""A view that a study does not have costs nothing and changes nothing.

The right value: what the same real images give in a batch that has no blank in it.
"""

from typing import Any

import pytest
import torch
from tests.models.conftest import TASKS, TOKEN_IDS

from kia.config import load_config, preset_names
from kia.models import KIAModel, model_configuration
from kia.tasks.masked_image import hidden_pixels

SMALL = {"width": 32, "depth": 2, "heads": 2, "ffn_width": 48, "dropout": 0.0}


def model_of(preset: str, **changes: Any) -> KIAModel:
    """The preset's kind of model in small, its weights random and its statistics its own."""
    config = load_config(preset, []).model
    stem = config.image_encoder.stem
    side = {"conv": 32, "efficientnet-lite0": 64}.get(stem, 2 * config.image_encoder.patch_size)
    image = SMALL | {"pretrained": None, "channels": 1}
    text = SMALL | {"pretrained": None, "vocab_size": 50, "max_positions": 16}
    config = config.model_copy(
        update={
            "image_size": side,
            "image_encoder": config.image_encoder.model_copy(update=image),
            "text_encoder": config.text_encoder.model_copy(update=text),
            **changes,
        }
    )
    torch.manual_seed(0)
    built = model_configuration(config, vocab_size=50, token_ids=TOKEN_IDS, tasks=TASKS)
    return KIAModel(built)


def with_blanks(real: torch.Tensor, width: int = 3) -> dict[str, torch.Tensor]:
    """One-view studies (B, 1, C, S, S) as they lie in a batch beside studies of `width` views."""
    studies = real.shape[0]
    pixels = torch.zeros(studies, width, *real.shape[2:])
    pixels[:, :1] = real
    exists = torch.zeros(studies, width, dtype=torch.bool)
    exists[:, 0] = True
    views = torch.zeros(studies, width, dtype=torch.long)
    return {"pixel_values": pixels, "view_ids": views, "view_mask": exists}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("preset", preset_names())
def test_features_and_gradients_of_one_view_are_those_without_blanks(preset, training) -> None:
    model = model_of(preset).train(training)
    side = model.config.image_size
    real = torch.randn(3, 1, 1, side, side, generator=torch.Generator().manual_seed(1))
    found = {}
    for name, given in (
        ("without", {"pixel_values": real, "view_ids": torch.zeros(3, 1, dtype=torch.long)}),
        ("with", with_blanks(real)),
    ):
        torch.manual_seed(2)  # the same statistics before each
        fresh = model_of(preset).train(training)
        fresh.load_state_dict(model.state_dict())
        features = fresh.encode_images(**given)
        tokens = features.sequence[:, : 1 + model.config.grid**2]
        (tokens.square().sum() + features.pooled.square().sum()).backward()
        gradients = {n: p.grad for n, p in fresh.named_parameters() if p.grad is not None}
        found[name] = (tokens, features.pooled, gradients, dict(fresh.named_buffers()))
    for ours, plain in zip(found["with"][:2], found["without"][:2], strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    for ours, plain in zip(found["with"][2:], found["without"][2:], strict=True):
        assert ours.keys() == plain.keys()
        for name in plain:
            torch.testing.assert_close(ours[name], plain[name], rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.parametrize("preset", preset_names())
def test_a_neighbour_with_two_views_changes_nothing_in_use(preset) -> None:
    model = model_of(preset).eval()
    side = model.config.image_size
    images = torch.randn(2, 2, 1, side, side, generator=torch.Generator().manual_seed(1))
    views = torch.tensor([[0, 0], [0, 1]])
    exists = torch.tensor([[True, False], [True, True]])
    length = 1 + model.config.grid**2
    with torch.no_grad():
        beside_two = model.encode_images(images, views, exists)
        beside_one = model.encode_images(images[:, :1], views[:, :1])
    torch.testing.assert_close(beside_two.sequence[0, :length], beside_one.sequence[0])
    torch.testing.assert_close(beside_two.pooled[0], beside_one.pooled[0])


def test_absent_views_are_not_computed(monkeypatch) -> None:
    model = model_of("small").eval()
    rows = []
    stem = model.image_encoder.stem.forward
    monkeypatch.setattr(
        model.image_encoder.stem,
        "forward",
        lambda pixels, **options: rows.append(len(pixels)) or stem(pixels, **options),
    )
    side = model.config.image_size
    with torch.no_grad():
        model.encode_images(**with_blanks(torch.randn(3, 1, 1, side, side)))
    assert rows == [3]


@pytest.mark.parametrize("shared", [True, False])
def test_hidden_patches_of_a_study_are_predicted_alike_beside_absent_views(shared) -> None:
    model = model_of("small", share_parameters=shared).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    side, patches = model.config.image_size, model.config.grid**2
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, 2, 1, side, side, generator=generator)
    text = torch.randn(3, 5, 32, generator=generator)
    words = torch.ones(3, 5, dtype=torch.bool)
    exists = torch.tensor([[True, False], [True, True], [True, False]])
    hidden = torch.zeros(3, 2, patches, dtype=torch.bool)
    hidden[exists] = torch.arange(patches) % 2 == 0
    flat = hidden.flatten().nonzero()[:, 0]
    predicted, true = hidden_pixels(
        *(model, images.flatten(0, 1), hidden.flatten(0, 1), flat, text, words),
        exists=exists.flatten(),
    )
    # the four images that exist, each as a study of its own with its report's features
    model.load_state_dict(state)
    place = exists.flatten().nonzero()[:, 0]
    alone, their_own = hidden_pixels(
        *(model, images.flatten(0, 1)[place], hidden.flatten(0, 1)[place]),
        hidden.flatten(0, 1)[place].flatten().nonzero()[:, 0],
        *(text[place // 2], words[place // 2]),
    )
    torch.testing.assert_close(true, their_own)
    torch.testing.assert_close(predicted, alone, rtol=1e-4, atol=1e-5)
