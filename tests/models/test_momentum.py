"""The moving averages and the ring of features against their formulas."""

from typing import Any

import pytest
import torch

from kia.models import MomentumEncoders
from kia.models.momentum import FeatureQueue

PARTS = ["image_tower", "text_tower", "view_embedding", "image_projection", "text_projection"]


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.995])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_update_is_the_moving_average(
    shared: bool, coefficient: float, build: Any, scramble: Any
) -> None:
    model = build(share_parameters=shared)
    momentum = MomentumEncoders(model, coefficient, queue=4)
    expected = {k: v.double().clone() for k, v in momentum.state_dict().items()}
    for step in (1, 2, 3):
        scramble(model, seed=step)
        momentum.update(model)
        now = model.state_dict()
        for part in PARTS:
            for name in [k for k in expected if k.startswith(f"{part}.")]:
                kept = coefficient * expected[name]
                expected[name] = kept + (1 - coefficient) * now[name].double()
    for name, value in momentum.state_dict().items():
        assert torch.allclose(value.double(), expected[name], rtol=0, atol=1e-6), name


def test_update_leaves_the_model_alone_and_carries_no_gradient(build: Any, scramble: Any) -> None:
    model = build()
    momentum = MomentumEncoders(model, 0.9, queue=4)
    scramble(model, seed=3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    momentum.update(model)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert not any(p.requires_grad for p in momentum.parameters())
    assert all(p.requires_grad for p in model.parameters())


def test_momentum_features_start_as_the_model_and_carry_no_dropout(build: Any) -> None:
    model = build(image={"dropout": 0.3}, text={"dropout": 0.3})
    momentum = MomentumEncoders(model, 0.9, queue=4)
    momentum.train()
    pixels, views = torch.randn(3, 2, 1, 32, 32), torch.tensor([[0, 1]] * 3)
    view_mask = torch.tensor([[True, True], [True, False], [True, True]])
    ids = torch.randint(4, 50, (3, 6))
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2, [True] * 6])
    images, reports = momentum.embed(pixels, views, view_mask, ids, mask)
    with torch.no_grad():
        pooled = model.encode_images(pixels, views, view_mask).pooled
        text = model.text_encoder(ids, mask[:, None, None, :])[:, 0]
        assert torch.allclose(images, model.image_projection(pooled), atol=1e-6)
        assert torch.allclose(reports, model.text_projection(text), atol=1e-6)
    for embeds in (images, reports):
        assert torch.allclose(embeds.norm(dim=1), torch.ones(3), atol=1e-5)


def test_momentum_features_are_normalised_by_their_own_batch(build: Any) -> None:
    parts = {"stem": "conv", "patch_size": 16, "dropout": 0.0}
    model = build(image=parts, text={"dropout": 0.0}).train()
    momentum = MomentumEncoders(model, 0.9, queue=4)
    pixels, views = torch.randn(3, 2, 1, 32, 32), torch.tensor([[0, 1]] * 3)
    ids = torch.randint(4, 50, (3, 6))
    images, _ = momentum.embed(pixels, views, None, ids, torch.ones(3, 6, dtype=torch.bool))
    with torch.no_grad():  # weights are still equal, so must be what batch norm makes of a batch
        expected = model.image_projection(model.encode_images(pixels, views).pooled)
    assert torch.allclose(images, expected, atol=1e-6)


def pushed(queue: FeatureQueue, numbers: list[int]) -> None:
    """Pushes studies whose features and report number are all their own number."""
    values = torch.tensor(numbers)
    width = queue.images.shape[1]
    images = values[:, None].float().expand(-1, width)
    queue.push(images, -images, values)


@pytest.mark.parametrize("length", [1, 3, 5, 8])
@pytest.mark.parametrize("batches", [[2, 2, 2, 2], [3, 1, 4, 2], [7, 2], [1] * 9, [16, 3]])
def test_queue_holds_the_newest_in_order(length: int, batches: list[int]) -> None:
    queue = FeatureQueue(length, 2)
    seen: list[int] = []
    for size in batches:
        numbers = list(range(len(seen), len(seen) + size))
        pushed(queue, numbers)
        seen += numbers
        newest = seen[-length:]
        # read from the oldest slot on: empty ones first, then the newest in their order
        ring = torch.roll(queue.report_ids, -int(queue.position)).tolist()
        assert [number for number in ring if number >= 0] == newest
        assert ring.count(-1) == length - len(newest)
        for slot, number in enumerate(queue.report_ids.tolist()):
            held = queue.images[slot], queue.reports[slot]
            value = max(number, 0)
            assert (held[0] == value).all()
            assert (held[1] == -value).all()


def test_queue_copies_what_it_is_given() -> None:
    queue = FeatureQueue(3, 2)
    images, numbers = torch.ones(2, 2), torch.tensor([4, 5])
    queue.push(images, images, numbers)
    images.fill_(9)
    numbers.fill_(9)
    assert queue.report_ids.tolist() == [4, 5, -1]
    assert queue.images.max() == 1
