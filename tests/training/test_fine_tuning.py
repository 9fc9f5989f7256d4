"""`kia train --from MODEL` without a configuration: the model goes on as it is."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kia.config import RunConfig
from kia.errors import ConfigError, DataError, ModelError
from kia.processing import KIAProcessor
from kia.training import train
from kia.training.build import build_model, build_processor
from kia.training.fine_tuning import fine_tuning
from kia.training.reporter import Silence


@pytest.fixture(scope="module")
def source(tmp_path_factory, configured, dataset) -> Path:
    """A model of two tasks, whose words are of other reports than those of the data set."""
    folder = tmp_path_factory.mktemp("source") / "model"
    config: RunConfig = configured(
        tasks__irm={"weight": 0},
        tasks__mim={"weight": 0},
        tasks__mlm={"masking": "label"},
        generation={"beams": 2, "max_tokens": 9},
    )
    processor = build_processor(config, ["quokkas nap beside a large heart ."] * 3, folder)
    torch.manual_seed(3)
    model = build_model(config, processor)
    model.config.label_shares = [0.5] * 14
    model.save_pretrained(folder)
    return folder


def test_what_the_model_is_comes_from_the_model(source, dataset):
    said = json.loads((source / "config.json").read_text())
    config = fine_tuning(source, dataset, ["train.seed=5"])
    model = config.model
    assert model.image_size == said["image_size"]
    assert model.image_encoder.model_dump() == said["image_tower"]
    ours = model.text_encoder.model_dump() | {"vocab_size": said["text_tower"]["vocab_size"]}
    assert ours == said["text_tower"]
    assert model.text_encoder.vocab_size == said["vocab_size"]
    assert config.generation.model_dump() == said["generation_defaults"]
    weights = {name: getattr(config.tasks, name).weight > 0 for name in ("mim", "mlm", "irm", "rg")}
    assert weights == {"mim": False, "mlm": True, "irm": False, "rg": True}
    assert config.tasks.mlm.masking == "label" and config.train.seed == 5
    assert config.train.batch_size == min(16, len(dataset.indices("train")))


def test_a_run_goes_on_with_its_weights_and_words(source, dataset, tmp_path):
    run = tmp_path / "run"
    overrides = ["train.joint.epochs=0", "train.generation.epochs=1", "train.threads=1"]
    # a rate at which nothing moves: what comes out is what went in
    still = [*overrides, "train.generation.learning_rate=1e-30"]
    config = fine_tuning(source, dataset, still)
    train(config, dataset.path, run, start=source, keep_words=True, reporter=Silence())
    words = "tokenizer.json"
    assert (run / "model" / words).read_bytes() == (source / words).read_bytes()
    before, after = (load_file(f / "model.safetensors") for f in (source, run / "model"))
    moving = "running_"  # statistics of batch norms
    same = [k for k in before if moving not in k and "batches" not in k]
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in same)
    assert yaml.safe_load((run / "run.yaml").read_text())["from"]["path"] == str(source)
    assert KIAProcessor.from_pretrained(run / "model").seen.images
    # and it can be resumed, and started from again
    train(config, dataset.path, run, start=source, keep_words=True, resume=True, reporter=Silence())
    assert fine_tuning(run, dataset, still) == config


def test_what_cannot_go_on_is_one_line(source, dataset, prepare, tmp_path):
    with pytest.raises(ModelError, match="is no model"):
        fine_tuning(tmp_path, dataset)
    with pytest.raises(ConfigError, match="unknown key"):
        fine_tuning(source, dataset, ["train.sed=1"])
    other = prepare(tmp_path / "other", 24, size=32)
    with pytest.raises(DataError, match="--size 64"):
        config = fine_tuning(source, other)
        train(config, other.path, tmp_path / "no", start=source, reporter=Silence())


def test_a_small_data_set_bounds_the_batch(source, prepare, tmp_path):
    few = prepare(tmp_path / "few", 12)
    assert fine_tuning(source, few).train.batch_size == len(few.indices("train")) < 16
