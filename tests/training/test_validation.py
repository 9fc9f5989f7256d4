"""Validation: which studies, whether the image matters, and which model is kept."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from kia.data.batches.batch import BatchBuilder
from kia.errors import ConfigError, RunError
from kia.generation import write_dataset_reports
from kia.tasks.report_generation import report_generation_loss, report_generation_rows
from kia.tasks.text_rows import encode_rows
from kia.training import loop, train, validation
from kia.training.build import build_model, build_processor
from kia.training.loop import Trainer
from kia.training.run_folder import RunFolder
from kia.training.validation import Validation, image_gain, validate


@pytest.fixture
def parts(configured, dataset, tmp_path):
    """A model with random weights that do matter, and the builder of its batches."""
    config = configured()
    torch.manual_seed(0)
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    model = build_model(config, processor).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    builder = BatchBuilder(
        dataset, processor, config.data, config.tasks, patch_size=16, max_tokens=150, seed=0
    )
    return model, builder, config


def cross_attention_outputs(model):
    return [
        module.output
        for name, module in model.text_decoder.named_modules()
        if name.endswith("cross_attention")
    ]


def test_image_gain_is_zero_where_the_image_is_ignored(parts, dataset):
    model, builder, _ = parts
    outputs = cross_attention_outputs(model)
    assert outputs
    for output in outputs:
        torch.nn.init.zeros_(output.weight)
    loss, gain = image_gain(model, builder, dataset.indices("val"), 32)
    assert loss > 0
    assert gain == pytest.approx(0.0, abs=1e-6)


def test_image_gain_is_the_loss_with_the_next_image_less_the_own(parts, dataset):
    """Against the definition, a study at a time and with no help of the module's."""
    model, builder, _ = parts
    studies = dataset.indices("val")
    reports = [dataset.study(int(i)).report for i in studies]
    assert len(set(reports)) == len(studies)  # so that the other image is the next one's
    own = other = tokens = 0.0
    for place, study in enumerate(studies):
        for image, is_own in ((study, True), (studies[(place + 1) % len(studies)], False)):
            batch = builder.build(studies[place : place + 1], 0, augment=False, joint=False)
            seen = builder.build(dataset_one(image), 0, augment=False, joint=False)
            with torch.no_grad():
                images = model.encode_images(seen.pixel_values, seen.view_ids, seen.view_mask)
                rows = {"rg": report_generation_rows(model, batch)}
                features = encode_rows(model, images, rows)["rg"]
                loss = report_generation_loss(model, batch, features).mean.item()
            count = len(batch.next_targets)
            if is_own:
                own, tokens = own + count * loss, tokens + count
            else:
                other += count * loss
    found = image_gain(model, builder, studies, 32)
    assert abs(other - own) / tokens > 1e-5
    assert found == pytest.approx((own / tokens, (other - own) / tokens), rel=1e-3, abs=1e-6)


def dataset_one(study):
    import numpy as np

    return np.array([study])


def test_image_gain_is_positive_where_the_own_image_helps(parts, dataset, monkeypatch):
    """A loss that falls with the likeness of the image seen and the study's own."""
    model, builder, _ = parts

    def likeness(model, batch, images):
        own = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
        return (own.pooled - images.pooled).square().mean().item()

    monkeypatch.setattr(validation, "_loss", likeness)
    loss, gain = image_gain(model, builder, dataset.indices("val"), 32)
    assert loss == 0.0 and gain > 0


def test_the_other_image_is_of_a_study_with_another_report(parts, dataset):
    model, builder, _ = parts
    batch = builder.build(dataset.indices("val"), 0, augment=False, joint=False)
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    numbers = torch.tensor([7, 7, 8, 8, 9])
    batch = type(batch)(**(vars(batch) | {"report_ids": numbers}))
    exchanged = validation._exchanged(images, batch)
    expected = [2, 2, 4, 4, 0]  # the next with another report, around the end
    assert torch.equal(exchanged.pooled, images.pooled[expected])
    assert torch.equal(exchanged.sequence, images.sequence[expected])


def test_validate_reads_the_given_studies_and_leaves_the_mode(parts, dataset):
    model, builder, config = parts
    studies, done = dataset.indices("val"), []
    model.train()
    found = validate(
        model, builder, studies, dataset.reports("train"), config.generation, done.append
    )
    assert model.training
    assert sum(done) == found.studies == len(studies) == len(found.reports)
    written = write_dataset_reports(
        model.eval(), builder.processor, dataset, studies, config.generation
    )
    assert [report for _, report in written] == found.reports
    assert found.unique_reports == len(set(found.reports))


@pytest.fixture
def faked(monkeypatch):
    """Validations that find these CIDErs, image gains of their negatives, and what they saw."""

    def fake(*ciders: float):
        seen: list[tuple[list[int], dict]] = []

        def validate(model, builder, studies, *_):
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            seen.append((studies.tolist(), weights))
            found = ciders[len(seen) - 1]
            return Validation(found, 1, len(studies), 1.0, -found, [])

        monkeypatch.setattr(loop, "validate", validate)
        return seen

    return fake


@pytest.mark.parametrize(
    ("select_by", "ciders", "best"),
    [
        ("cider", (0.1, 0.3, 0.2, 0.25), 1),
        ("cider", (0.1, 0.2, 0.2, 0.4), 3),
        ("image_gain", (0.3, 0.2, 0.1, 0.4), 2),
    ],
)
def test_the_best_model_is_the_one_of_highest_score_over_both_stages(
    select_by, ciders, best, faked, tmp_path, phantoms, dataset, configured, listener
):
    seen = faked(*ciders)
    run = tmp_path / "run"
    config = configured(train__generation__epochs=2, train__select_by=select_by)
    train(config, phantoms, run, reporter=listener())
    kept = load_file(run / "model" / "model.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in seen[best][1].items())
    assert {tuple(studies) for studies, _ in seen} == {tuple(dataset.indices("val"))}
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    marks = [line["best"] for line in lines if line["kind"] == "validation"]
    assert [i for i, mark in enumerate(marks) if mark][-1] == best
    progress = json.loads(
        (sorted((run / "checkpoints").iterdir())[-1] / "progress.json").read_text()
    )
    score = ciders[best] if select_by == "cider" else -ciders[best]
    assert (progress["best"], progress["best_epoch"]) == (score, best + 1)


def test_weights_that_are_not_finite_are_never_the_best(tmp_path, phantoms, configured, listener):
    """Kept once, they would never be beaten: nothing is larger than NaN."""
    config = configured(train__joint__learning_rate=1e38, train__joint__epochs=1)
    with pytest.raises(RunError, match=r"validation loss is not finite.*lower.*learning_rate"):
        train(config, phantoms, tmp_path / "run", reporter=listener())
    assert not (tmp_path / "run" / "model").exists()


def test_a_run_without_epochs_is_refused(tmp_path, phantoms, configured, listener):
    config = configured(train__joint__epochs=0, train__generation__epochs=0)
    with pytest.raises(ConfigError, match="nothing to train"):
        train(config, phantoms, tmp_path / "run", reporter=listener())
    assert not (tmp_path / "run").exists()


def test_validation_every_other_epoch_and_at_the_end_of_a_stage_on_so_many_studies(
    faked, tmp_path, phantoms, dataset, configured, listener
):
    seen = faked(*range(9))
    config = configured(
        train__joint__epochs=3, train__validate_every=2, train__validation_studies=2
    )
    train(config, phantoms, tmp_path / "run", reporter=listener())
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    epochs = [line["epoch"] for line in lines if line["kind"] == "validation"]
    assert epochs == [2, 3, 4]
    assert all(studies == dataset.indices("val")[:2].tolist() for studies, _ in seen)


def test_stage_2_starts_from_the_best_weights_with_a_fresh_optimiser_and_initial_rate(
    faked, tmp_path, phantoms, configured, dataset, listener, monkeypatch
):
    seen = faked(0.9, 0.1, 0.2)
    starts, real = [], Trainer._step

    def step(self, parts, studies, stage, joint):
        if not joint and not self.progress.stage_step:
            weights = {n: v.clone() for n, v in self.objective.model.state_dict().items()}
            starts.append((weights, dict(self.optimizer.state)))
        real(self, parts, studies, stage, joint)
        if not joint and self.progress.stage_step == 1:
            starts.append(self.optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(Trainer, "_step", step)
    train(configured(), phantoms, tmp_path / "run", reporter=listener())
    (weights, state), rate = starts
    assert all(torch.equal(weights[name], value) for name, value in seen[0][1].items())
    assert not all(torch.equal(weights[name], value) for name, value in seen[1][1].items())
    assert state == {}
    assert rate == configured().train.generation.learning_rate


def test_stage_2_clips_by_its_own_gradients(
    faked, tmp_path, phantoms, configured, dataset, listener, monkeypatch
):
    """What stage 1 left on parameters that stage 2 does not train is no part of the norm."""
    faked(0.9, 0.1, 0.2)
    norms, real = [], torch.nn.utils.clip_grad_norm_

    def clip(parameters, limit, **options):
        parameters = list(parameters)
        held = [p for p in parameters if p.grad is not None]
        norms.append(len(held))
        return real(parameters, limit, **options)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    config = configured()
    run = RunFolder.open(tmp_path / "run", config, dataset, resume=False)
    trainer = Trainer(config, dataset, run, listener())
    trainer.run()
    optimised = [p for g in trainer.optimizer.param_groups for p in g["params"]]
    assert norms[-1] == sum(p.grad is not None for p in optimised)
    assert all(p.grad is None for p in trainer.objective.contrastive.parameters())
    run.close()


@pytest.mark.parametrize(("source", "better"), [("MIMIC-CXR-JPG", "whole"), ("IU X-Ray", "cut")])
def test_the_source_of_the_data_decides_how_validation_cuts_and_counts(
    parts, dataset, monkeypatch, source, better
):
    """R2Gen keeps 99 words of a reference of MIMIC-CXR and 59 of IU X-Ray (its tokenizers.py).

    Of long reports the whole is better than one cut to 59 words by MIMIC's protocol alone.
    """
    model, builder, config = parts
    words = "abcdefghijklmnopqrstuvwxyz"
    report = {int(i): " ".join(2 * [f"{a}{b}" for a in words[:8] for b in words[i % 7 : i % 7 + 6]])
              for i in dataset.indices("val")}  # fmt: skip
    studies = dataset.indices("val")

    class Long:
        info = dataset.info | {"source": source}

        def __getattr__(self, name):
            return getattr(dataset, name)

        def study(self, number):
            return replace(dataset.study(number), report=report[number])

    found = {}
    for kind, length in (("whole", 96), ("cut", 59)):
        written = [(str(i), " ".join(report[int(i)].split()[:length])) for i in studies]
        monkeypatch.setattr(validation, "write_dataset_reports", lambda *_, w=written: iter(w))
        monkeypatch.setattr(builder, "dataset", Long())
        monkeypatch.setattr(validation, "image_gain", lambda *_: (1.0, 0.0))
        training = list(report.values()) * 10  # every word is frequent enough
        found[kind] = validate(model, builder, studies, training, config.generation, len).cider
    assert max(found, key=found.__getitem__) == better
