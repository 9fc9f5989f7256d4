"""The plain implementation is the same mathematics: its losses and gradients are those of kia."""

import numpy as np
import pytest
import torch

from kia.bench.plain import PlainObjective
from kia.config import RunConfig, load_config
from kia.data.batches.batch import BatchBuilder
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import ConfigError
from kia.tasks.joint import JointObjective
from kia.training.build import build_model, build_processor

SIZES = [
    "model.image_size=64",
    "model.image_encoder.width=32",
    "model.text_encoder.width=32",
    "model.image_encoder.dropout=0",
    "model.text_encoder.dropout=0",
    "tasks.irc.queue_length=16",
]


def made(config: RunConfig, folder) -> tuple[JointObjective, torch.nn.Module]:
    with DatasetWriter(folder / "data", image_size=64, source="phantom") as writer:
        write_phantoms(writer, 8, seed=0)
    dataset = PreparedDataset.open(folder / "data")
    processor = build_processor(config, dataset.reports(), folder / "processor")
    torch.manual_seed(0)
    objective = JointObjective(build_model(config, processor), config.tasks).train()
    builder = BatchBuilder(
        dataset, processor, config.data, config.tasks, patch_size=16, max_tokens=160, seed=0
    )
    return objective, builder.build(np.arange(6), 0, augment=True)


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_losses_and_gradients_are_the_same(preset, tmp_path):
    objective, batch = made(load_config(preset, SIZES), tmp_path)
    plain = PlainObjective(objective).train()
    results = []
    for module in (objective, plain):
        torch.manual_seed(1)  # the same wrong pairs
        results.append(module(batch))
        results[-1].total.backward()
    ours, theirs = results
    for name, loss in ours.losses.items():
        assert theirs.losses[name].item() == pytest.approx(loss.item(), rel=1e-5), name
    model = objective.model
    block, layer = model.text_tower.stack.blocks[0], plain.encoders.text.layers[0]
    query, *_ = block.self_attention.query_key_value.weight.grad.chunk(3)
    pairs = {
        "text query": (query, layer.attention.self.query.weight.grad),
        "words": (model.text_tower.word.weight.grad, _words(plain)),
        "cross-attention": (
            block.cross_attention.query.weight.grad,
            layer.crossattention.self.query.weight.grad,
        ),
        "image feed-forward": (
            model.image_tower.stack.blocks[1].feed_forward.expand.weight.grad,
            plain.encoders.image.layers[1].mlp.fc1.weight.grad,
        ),
        "stem": (
            model.image_tower.stem.projection.weight.grad,
            plain.encoders.image.tower.stem.projection.weight.grad,
        ),
    }
    for name, (one, other) in pairs.items():
        assert one.abs().max() > 0, name
        torch.testing.assert_close(other, one, rtol=0, atol=2e-3 * one.abs().max().item(), msg=name)


def _words(plain: PlainObjective) -> torch.Tensor:
    return plain.encoders.text.embeddings.word_embeddings.weight.grad


def test_the_queue_and_the_momentum_encoders_move_alike(tmp_path):
    objective, batch = made(load_config("tiny", SIZES), tmp_path)
    plain = PlainObjective(objective).train()
    with torch.no_grad():
        for module in (objective, plain):
            module(batch)
        torch.testing.assert_close(plain.queue.images, objective.momentum.queue.images)
        objective.model.text_tower.word.weight.add_(1.0)
        plain.encoders.text.embeddings.word_embeddings.weight.add_(1.0)
        objective.after_step()
        plain.after_step()
    slow = plain.slow.text.embeddings.word_embeddings.weight
    torch.testing.assert_close(slow, objective.momentum.text_tower.word.weight)


def test_towers_that_transformers_has_not_are_refused(tmp_path):
    config = load_config("tiny", [*SIZES, "model.text_encoder.norm_position=pre"])
    objective, _ = made(config, tmp_path)
    with pytest.raises(ConfigError, match="post-norm"):
        PlainObjective(objective)
