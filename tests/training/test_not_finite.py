"""A loss or gradient that is not finite: left out, named, counted, and ended when too frequent."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kia.config import validate
from kia.data.batches.batch import BatchBuilder
from kia.errors import ConfigError, RunError
from kia.training import train
from kia.training.checkpoint import optimizer_tensors
from kia.training.loop import Trainer
from kia.training.optim import build_optimizer
from kia.training.run_folder import RunFolder
from kia.training.update import masked_shares, not_finite, update


@pytest.fixture
def poison(monkeypatch, dataset):
    """`poison(study, …)`: these training studies have an image that is not a number."""

    def poisoned(*numbers: int) -> None:
        real = BatchBuilder.build

        def build(self, studies, epoch, *, augment, **more):
            batch = real(self, studies, epoch, augment=augment, **more)
            bad = torch.from_numpy(np.isin(studies, numbers) & augment)
            pixels = batch.pixel_values.masked_fill(bad[:, None, None, None, None], torch.nan)
            return replace(batch, pixel_values=pixels)

        monkeypatch.setattr(BatchBuilder, "build", build)

    return poisoned


def lines(run, kind) -> list[dict]:
    found = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line for line in found if line["kind"] == kind]


def snapshot(trainer) -> dict[str, torch.Tensor]:
    tensors = trainer.objective.state_dict() | optimizer_tensors(trainer.optimizer)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def trainer(tmp_path, configured, dataset, listener):
    """A trainer before its first step, and a function that makes one."""
    config = configured()
    run = RunFolder.open(tmp_path / "run", config, dataset, resume=False)
    made = Trainer(config, dataset, run, listener())
    made.optimizer = build_optimizer(made.objective, config.train, config.train.joint)

    def step(*parts, **how) -> list[str]:
        settings = {"joint": True, "clip": 1.0} | how
        return not_finite(update(made.objective, made.optimizer, parts, made.precision, **settings))

    made.objective.train()
    yield made, step
    run.close()


def test_weights_optimiser_momentum_queue_and_statistics_are_untouched(trainer, dataset):
    made, step = trainer
    first, second = dataset.indices("train")[:8], dataset.indices("train")[8:16]
    good = made.builder.build(first, 0, augment=True)
    bad = made.builder.build(second, 0, augment=True)
    bad = replace(bad, pixel_values=bad.pixel_values * torch.nan)
    before = snapshot(made)
    assert step(bad) == ["mim", "mlm", "irc", "irm", "rg", "gradient_norm"]
    assert same(snapshot(made), before)  # without optimiser state yet
    assert step(good) == []
    after = snapshot(made)
    assert not same(after, before)
    assert step(bad) and same(snapshot(made), after)
    assert step(good, bad)  # the second of two parts; the first was computed before
    assert same(snapshot(made), after)
    assert step(bad, careful=False) and not same(snapshot(made), after)


def test_a_gradient_that_is_not_finite_counts_though_the_losses_are(trainer, dataset):
    made, step = trainer
    good = made.builder.build(dataset.indices("train")[:8], 0, augment=True)
    weight = made.objective.model.view_embedding.weight
    hook = weight.register_hook(lambda gradient: gradient * torch.inf)
    before = snapshot(made)
    assert step(good) == ["gradient_norm"]
    assert same(snapshot(made), before)
    hook.remove()
    assert step(good) == []


def test_shares_masked_are_of_patches_and_of_words(trainer, dataset):
    """By hand: half the patches of two present views of three, and 3 of 8 words."""
    made, _ = trainer
    batch = made.builder.build(dataset.indices("train")[:2], 0, augment=True)
    real = torch.tensor([[True] * 7, [True] * 5 + [False] * 2])  # 5 and 3 words, [CLS], [SEP]
    batch = replace(
        batch,
        view_mask=torch.tensor([[True, True], [True, False]]),
        image_mask=torch.tensor([[[True, False]] * 2, [[True, False], [False, False]]]),
        masked_attention_mask=real,
        masked_targets=torch.tensor([7, 8, 9]),
    )
    found = {name: share.item() for name, share in masked_shares([batch]).items()}
    assert found == pytest.approx({"masked_patches": 0.5, "masked_tokens": 3 / 8})
    plain = made.builder.build(dataset.indices("train")[:2], 0, augment=True, joint=False)
    assert masked_shares([plain]) == {}


def test_the_studies_are_named_and_the_run_goes_on(
    tmp_path, phantoms, dataset, configured, listener, poison
):
    study, told = int(dataset.indices("train")[3]), listener()
    poison(study)
    run = tmp_path / "run"
    config = configured(train__joint__epochs=1)
    train(config, phantoms, run, reporter=told)
    skipped = lines(run, "skipped")
    assert [line["stage"] for line in skipped] == ["joint", "generation"]
    for line in skipped:
        assert dataset.study(study).id in line["studies"] and len(line["studies"]) == 8
        assert "rg" in line["not_finite"]
    notes = [note for note in told.notes if "left out" in note and "warning" not in note]
    assert len(notes) == 2 and all(dataset.study(study).id in note for note in notes)
    # means are of the four other steps, and all that is logged is finite
    logged = lines(run, "train")
    assert all(np.isfinite([v for v in line.values() if isinstance(v, float)]).all()
               for line in logged)  # fmt: skip
    assert 0.54 < logged[0]["masked_patches"] < 0.66  # p_total .6; 4 sd of 1,024 draws
    assert 0 <= logged[0]["data_wait"] <= 1
    assert [line["rule"] for line in lines(run, "warning")].count("not_finite") == 1
    final = sorted((run / "checkpoints").glob("step-*/progress.json"))[-1]
    assert json.loads(final.read_text())["skipped"] == 2


def test_too_many_end_the_run_with_advice(
    tmp_path, phantoms, dataset, configured, listener, poison
):
    poison(*dataset.indices("train"))
    run = tmp_path / "run"
    with pytest.raises(RunError, match=r"train\.skip_limit is 2") as raised:
        train(configured(train__skip_limit=2), phantoms, run, reporter=listener())
    assert "train.joint.learning_rate" in str(raised.value) and "\n" not in str(raised.value)
    assert [line["step"] for line in lines(run, "skipped")] == [1, 2, 3]


@pytest.mark.parametrize("blind", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_or_blind_the_run_ends_the_same(
    blind, tmp_path, phantoms, dataset, configured, listener, poison, killed, outcome_of,
    monkeypatch,
):  # fmt: skip
    """Blind is how a GPU runs: what is not finite is found at the next line or checkpoint."""
    poison(int(dataset.indices("train")[5]), int(dataset.indices("train")[20]))
    config = configured(train__joint__epochs=1, train__generation__epochs=1)
    train(config, phantoms, tmp_path / "whole", reporter=listener())
    told, real = listener(), Trainer.__init__

    def without_looking(self, *words):
        real(self, *words)
        self.careful = False

    def die(what: str, count: int) -> None:
        if not blind and (what, count) == ("joint 1/1", 5):
            raise killed

    if blind:
        monkeypatch.setattr(Trainer, "__init__", without_looking)
    try:
        train(config, phantoms, tmp_path / "run", reporter=listener(die) if not blind else told)
    except killed:
        train(config, phantoms, tmp_path / "run", resume=True, reporter=listener())
    assert outcome_of(tmp_path / "run") == outcome_of(tmp_path / "whole")
    if blind:
        (note,) = [note for note in told.notes if "going back" in note]
        assert "gradient_norm" in note


def test_a_skip_limit_below_zero_is_refused():
    with pytest.raises(ConfigError, match="skip_limit"):
        validate({"train": {"skip_limit": -1}}, "test")


def test_a_cpu_is_looked_at_in_each_step(trainer):
    assert trainer[0].careful
