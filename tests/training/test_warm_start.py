"""`kia train --from MODEL`: what is taken over, what is refused, and that MODEL is read once."""

import hashlib
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kia.errors import ConfigError, ModelError, RunError
from kia.models import KIAModel
from kia.processing import KIAProcessor
from kia.tasks.joint import JointObjective
from kia.training import train
from kia.training.build import build_model, build_processor
from kia.training.warm_start import start_from


@pytest.fixture(scope="module")
def source(tmp_path_factory, configured, dataset) -> Path:
    """A model folder of the test configuration, with random weights everywhere."""
    folder = tmp_path_factory.mktemp("source") / "model"
    processor = build_processor(configured(), dataset.reports("train"), folder)
    torch.manual_seed(7)
    model = build_model(configured(), processor)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def built(tmp_path, configured, dataset):
    """`built(reports, **changes)`: an untrained model and its processor."""

    def make(reports=None, **changes) -> tuple[KIAModel, KIAProcessor]:
        config = configured(**changes)
        processor = build_processor(config, reports or dataset.reports("train"), tmp_path / "p")
        torch.manual_seed(0)
        return build_model(config, processor), processor

    return make


def test_the_same_words_and_image_size_give_the_same_model(source, built):
    model, processor = built()
    note = start_from(model, processor, source)
    theirs = load_file(source / "model.safetensors")
    assert model.state_dict().keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    assert "resampled" not in note and "new" not in note


def test_words_are_matched_by_string(source, built):
    reports = ["quokkas nap beside a large heart .", "quokkas see no pleural effusion ."] * 3
    model, processor = built(reports)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_from(model, processor, source)
    here, there = (
        p.tokenizer.get_vocab() for p in (processor, KIAProcessor.from_pretrained(source))
    )
    assert {"heart", "[MATCH]", "[START]", "##a"} <= here.keys() & there.keys()
    assert "quokkas" in here.keys() - there.keys()
    theirs = load_file(source / "model.safetensors")
    for name in ("text_tower.word.weight", "word_prediction.bias"):
        now = model.state_dict()[name]
        for piece, row in here.items():
            expected = theirs[name][there[piece]] if piece in there else before[name][row]
            assert torch.equal(now[row], expected), piece


def test_another_image_size_keeps_what_positions_say(source, built, dataset):
    """A position embedding that is linear over the image is so at any size, up to its border."""
    theirs = KIAModel.from_pretrained(source)
    grid = torch.linspace(-0.75, 0.75, 4)  # centres of 4 patches a side from −1 to 1
    with torch.no_grad():
        patches = theirs.image_tower.position[:, 1:].unflatten(1, (4, 4))
        patches[:, :, :, 0], patches[:, :, :, 1] = grid[:, None], grid
    folder = source.with_name("linear")
    theirs.save_pretrained(folder)
    KIAProcessor.from_pretrained(source).save_pretrained(folder)
    model, processor = built(model__image_size=128)
    note = start_from(model, processor, folder)
    assert "4×4 patches to 8×8" in note
    position = model.image_tower.position.detach()
    assert torch.equal(position[:, 0], theirs.image_tower.position[:, 0])
    inner = position[0, 1:].unflatten(0, (8, 8))[2:6, 2:6]
    centres = torch.linspace(-0.875, 0.875, 8)[2:6]
    torch.testing.assert_close(inner[:, :, 0], centres[:, None].expand(4, 4), atol=0.05, rtol=0)
    torch.testing.assert_close(inner[:, :, 1], centres.expand(4, 4), atol=0.05, rtol=0)


def test_heads_that_the_model_lacks_start_new_and_say_so(source, built, configured, tmp_path):
    without, processor = built(tasks__mim__weight=0.0)
    without.save_pretrained(tmp_path / "without")
    processor.save_pretrained(tmp_path / "without")
    model, processor = built()
    assert "new: pixel_prediction" in start_from(model, processor, tmp_path / "without")


def test_texts_may_be_longer_or_shorter(source, built):
    theirs = load_file(source / "model.safetensors")["text_tower.position.weight"]
    for length in (40, 200):
        model, processor = built(model__text_encoder__max_positions=length)
        start_from(model, processor, source)
        both = min(length, len(theirs))
        assert torch.equal(model.text_tower.position.weight[:both], theirs[:both])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model__text_encoder__width": 64}, ["model.text_encoder.width=32"]),
        (
            {"model__image_encoder__depth": 2, "model__projection_width": 8},
            ["model.image_encoder.depth=1", "model.projection_width=16"],
        ),
        ({"model__share_parameters": False}, ["model.share_parameters=True"]),
        ({"model__image_encoder__stem": "patch"}, ["model.image_encoder.stem=conv"]),
    ],
)
def test_a_model_that_does_not_fit_names_what_to_set(change, named, source, built):
    model, processor = built(**change)
    with pytest.raises(ConfigError) as caught:
        start_from(model, processor, source)
    assert str(caught.value).partition("--set ")[2].split(" --set ") == named
    assert str(source) in str(caught.value)


def test_new_words_under_a_frozen_text_tower_are_warned_of(source, built):
    model, processor = built(["quokkas nap ."] * 3, train__frozen=["text_tower"])
    assert "frozen as initialised" in start_from(model, processor, source)


def test_momentum_encoders_start_from_the_model_too(source, built, configured):
    model, processor = built()
    start_from(model, processor, source)
    momentum = JointObjective(model, configured().tasks).momentum
    theirs = load_file(source / "model.safetensors")
    name = "stem.layers.0.convolution.weight"
    assert torch.equal(momentum.image_tower.state_dict()[name], theirs[f"image_tower.{name}"])


def test_a_killed_run_goes_on_without_the_model_and_ends_alike(
    source, tmp_path, phantoms, configured, listener, killed, outcome_of
):
    config = configured(train__joint__epochs=1, train__generation__epochs=0)
    copy = shutil.copytree(source, tmp_path / "copy")

    def kill(_: str, count: int) -> None:
        if count == 1:
            raise killed

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    train(config, phantoms, straight, start=copy, reporter=listener())
    with pytest.raises(killed):
        train(config, phantoms, broken, start=copy, reporter=listener(kill))
    shutil.rmtree(copy)
    train(config, phantoms, broken, resume=True, reporter=listener())
    assert outcome_of(straight) == outcome_of(broken)

    weights = (source / "model.safetensors").read_bytes()
    recorded = yaml.safe_load((straight / "run.yaml").read_text())["from"]
    assert recorded == {"path": str(copy), "hash": hashlib.sha256(weights).hexdigest()}


def test_resuming_from_another_model_is_refused(
    source, tmp_path, phantoms, configured, listener, killed
):
    def kill(*_: object) -> None:
        raise killed

    run, other = tmp_path / "run", shutil.copytree(source, tmp_path / "other")
    with pytest.raises(killed):
        train(configured(), phantoms, run, start=source, reporter=listener(kill))
    with pytest.raises(RunError, match=r"was started from .*; leave --from out"):
        train(configured(), phantoms, run, resume=True, start=other, reporter=listener())
    shutil.rmtree(run / "checkpoints")  # as if it had been killed before the first one
    record = yaml.safe_load((run / "run.yaml").read_text())
    (run / "run.yaml").write_text(yaml.safe_dump(record | {"from": record["from"] | {"hash": "0"}}))
    with pytest.raises(RunError, match="have changed"):
        train(configured(), phantoms, run, resume=True, reporter=listener())


def test_what_is_no_model_writes_nothing(tmp_path, phantoms, configured, listener):
    with pytest.raises(ModelError, match="is no model"):
        start = tmp_path / "absent"
        train(configured(), phantoms, tmp_path / "run", start=start, reporter=listener())
    assert list(tmp_path.iterdir()) == []
