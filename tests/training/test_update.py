"""One update: its parts, its precision, and the options of the transformer blocks."""

import copy

import pytest
import torch

from kia.data.batches.batch import BatchBuilder, EpochBatches
from kia.data.batches.shares import SharedBatches
from kia.errors import ConfigError
from kia.tasks.joint import JointObjective
from kia.training.blocks import prepare_blocks
from kia.training.build import build_model, build_processor
from kia.training.optim import build_optimizer
from kia.training.precision import Precision
from kia.training.update import update

PLAIN = {"model__image_encoder__stem": "patch", "model__text_encoder__dropout": 0.0}
LOCAL = {"tasks__irc__weight": 0.0, "tasks__irm__weight": 0.0}


@pytest.fixture(scope="module")
def run(configured, dataset, tmp_path_factory):
    """Losses, gradients and the scaler after so many updates with these settings."""
    folder = tmp_path_factory.mktemp("update") / "processor"

    def run(steps: int = 1, scale: float | None = None, **changes):
        config = configured(**changes)
        processor = build_processor(config, dataset.reports("train"), folder)
        torch.manual_seed(0)
        objective = JointObjective(build_model(config, processor), config.tasks).train()
        prepare_blocks(objective, config.train)
        optimizer = build_optimizer(objective, config.train, config.train.joint)
        builder = BatchBuilder(
            dataset, processor, config.data, config.tasks, patch_size=16, max_tokens=150, seed=0
        )
        order = EpochBatches(builder, dataset.indices("train"), batch_size=8, epoch=0)
        batches = SharedBatches(order, parts=config.train.accumulate, rank=0, ranks=1)
        precision = Precision(config.train.precision, torch.device("cpu"))
        if scale:
            precision.restore(precision.state() | {"scale": scale})
        before = copy.deepcopy(objective.model.state_dict())
        for step in range(steps):
            torch.manual_seed(step)
            losses = update(
                objective, optimizer, batches[step], precision, joint=True, clip=1e9
            )  # fmt: skip
        named = objective.named_parameters()
        gradients = {name: p.grad for name, p in named if p.grad is not None}
        moved = any(not torch.equal(before[n], p) for n, p in objective.model.named_parameters())
        return losses, gradients, precision, moved

    return run


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_parts_give_the_update_of_the_whole_batch_for_tasks_that_see_one_study_at_a_time(
    run, parts
):
    """MIM, MLM and RG without batch norm; parts hide unequal numbers of patches and words."""
    whole, expected, _, _ = run(**PLAIN, **LOCAL)
    losses, found, _, _ = run(**PLAIN, **LOCAL, train__accumulate=parts)
    assert whole.keys() == {"mim", "mlm", "rg", "gradient_norm"}
    for name in whole:
        torch.testing.assert_close(losses[name], whole[name], rtol=1e-5, atol=1e-6)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_parts_do_not_give_the_contrastive_loss_of_the_whole_batch(run):
    """A part has fewer candidates, as docs/training.md says."""
    whole, parts = run(**PLAIN)[0], run(**PLAIN, train__accumulate=4)[0]
    assert abs(whole["irc"] - parts["irc"]) > 0.1


def test_recomputed_blocks_give_the_same_gradients_bit_for_bit_with_dropout(run):
    changes = {"model__text_encoder__dropout": 0.3, "model__image_encoder__dropout": 0.2}
    losses, expected, _, _ = run(**changes)
    again, found, _, _ = run(**changes, train__activation_checkpointing=True)
    assert all(torch.equal(losses[name], again[name]) for name in losses)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.slow
def test_compiled_blocks_give_the_same_losses_and_gradients(run):
    losses, expected, _, _ = run(steps=2, **PLAIN)
    again, found, _, _ = run(steps=2, **PLAIN, train__compile=True)
    for name in losses:
        torch.testing.assert_close(again[name], losses[name], rtol=1e-3, atol=1e-4)
    assert found.keys() == expected.keys()


@pytest.mark.parametrize(("precision", "near"), [("float16", 5e-3), ("bfloat16", 4e-2)])
def test_lower_precision_is_near_float32(run, precision, near):
    expected = run(**PLAIN)[0]
    losses, gradients, _, moved = run(**PLAIN, train__precision=precision, scale=256.0)
    for name in ("mim", "mlm", "irm", "rg"):
        assert losses[name].item() == pytest.approx(expected[name].item(), rel=near)
    assert moved and all(p.dtype == torch.float32 for p in gradients.values())


def test_float16_that_overflows_leaves_the_step_out_and_scales_less(run):
    losses, _, precision, moved = run(**PLAIN, train__precision="float16", scale=2.0**40)
    assert not moved and losses["gradient_norm"] == 0
    assert precision.state()["scale"] == 2.0**39  # torch's GradScaler halves it


def test_a_scaler_continues_where_its_checkpoint_was():
    precision = Precision("float16", torch.device("cpu"))
    precision.restore(precision.state() | {"scale": 32.0, "_growth_tracker": 7})
    other = Precision("float16", torch.device("cpu"))
    other.restore(precision.state())
    assert other.state() == precision.state() and other.state()["scale"] == 32.0
    assert Precision("float32", torch.device("cpu")).state() == {}


def test_more_parts_than_studies_are_refused(configured):
    with pytest.raises(ConfigError, match="accumulate 9 is more parts than batch_size 8"):
        configured(train__accumulate=9)
