"""Frozen parts stay as they were, batch statistics included, and the momentum with them."""

from typing import get_args

import pytest
import torch

from kia.config import FrozenPart, StageConfig
from kia.data.batches.batch import BatchBuilder
from kia.tasks.joint import JointObjective
from kia.training.build import build_model, build_processor
from kia.training.frozen import PARTS
from kia.training.optim import build_optimizer

STEM = {"image_tower.stem."}
IMAGE = STEM | {
    "image_tower.class_token",
    "image_tower.position",
    "image_tower.stack.blocks.0.self_",
    "image_tower.stack.blocks.0.feed_forward",
    "image_tower.final_norm.",
    "image_tower.token_norm.",
}
TEXT = {
    "text_tower.word.",
    "text_tower.position.",
    "text_tower.norm.",
    "text_tower.stack.blocks.0.self_",
    "text_tower.stack.blocks.0.feed_forward",
}
CROSS = {f"{tower}_tower.stack.blocks.0.cross_" for tower in ("image", "text")}


def test_the_configuration_knows_every_part():
    assert set(get_args(FrozenPart)) == PARTS.keys()


@pytest.mark.parametrize(
    ("parts", "frozen"),
    [
        (["image_stem"], STEM),
        (["image_tower"], IMAGE),
        (["text_tower"], TEXT),
        (["image_tower", "text_tower", "cross_attention"], IMAGE | TEXT | CROSS),
    ],
)
def test_two_steps_change_all_but_the_frozen_parts(parts, frozen, configured, dataset, tmp_path):
    config = configured(
        train__frozen=parts,
        model__image_encoder__standardise=True,
        tasks__irc__momentum=0.5,
        tasks__mlm__masking="general",
    )
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    torch.manual_seed(0)
    objective = JointObjective(build_model(config, processor), config.tasks).train()
    stage = StageConfig(epochs=1, learning_rate=1.0)  # far enough for float32 to show it
    optimizer = build_optimizer(objective, config.train, stage)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    settings = {"patch_size": 16, "max_tokens": 160, "seed": 0}
    builder = BatchBuilder(dataset, processor, config.data, config.tasks, **settings)
    for step in range(2):
        objective.train()
        objective.zero_grad()
        objective(builder.build(dataset.indices("train")[:8], step, augment=False)).total.backward()
        optimizer.step()
        objective.after_step()

    prefixes = tuple(f"{owner}.{name}" for name in frozen for owner in ("model", "momentum"))
    kept = {n for n, v in objective.state_dict().items() if torch.equal(v, before[n])}
    expected = {name for name in before if name.startswith(prefixes)}
    assert len(expected) > len(frozen)
    assert expected <= kept
    # what is not frozen has moved, but for padding, empty counters and parts of no use here
    still = kept - expected
    assert all("position" in name or "view_embedding" in name for name in still), still

    optimised = {id(p) for group in optimizer.param_groups for p in group["params"]}
    names = {n for n, p in objective.named_parameters() if id(p) in optimised}
    assert names and not any(name.startswith(prefixes) for name in names)
    for name in expected:
        own = name.replace("momentum.", "model.")
        if name.startswith("momentum.") and own in before:
            assert torch.equal(objective.state_dict()[name], objective.state_dict()[own])


def test_a_frozen_stem_computes_in_training_what_it_computes_after(configured, dataset, tmp_path):
    config = configured(train__frozen=["image_stem"])
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    model = build_model(config, processor)
    pixels = torch.randn(4, 1, 64, 64)
    with torch.no_grad():
        in_training = model.train().image_tower.stem(pixels)
        assert torch.equal(in_training, model.eval().image_tower.stem(pixels))
