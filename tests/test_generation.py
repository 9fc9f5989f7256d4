"""Writing reports: the same for the same images, however they come."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kia.config import GenerationConfig, RunConfig, load_config, validate
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import ModelError
from kia.generation import (
    dataset_inputs,
    image_embeddings,
    load_model,
    write_dataset_reports,
    write_reports,
)
from kia.models import KIAModel
from kia.processing import KIAProcessor
from kia.training.build import build_model, build_processor

TINY = {
    "model": {
        "image_size": 64,
        "image_encoder": {"width": 32, "depth": 2, "heads": 2, "ffn_width": 64, "stem": "conv"},
        "text_encoder": {
            **{"width": 32, "depth": 2, "heads": 2, "ffn_width": 64},
            **{"max_positions": 64, "vocab_size": 300},
        },
        "projection_width": 16,
    }
}
Parts = tuple[KIAModel, KIAProcessor]


def scrambled(config: RunConfig, reports: list[str], folder: Path) -> Parts:
    """A model whose random weights are large enough for every image to get its own report."""
    torch.manual_seed(0)
    processor = build_processor(config, reports, folder)
    model = build_model(config, processor).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "text_tower" in name and parameter.ndim == 2:
                parameter.add_(torch.randn_like(parameter) * 2 / parameter.shape[1] ** 0.5)
            elif name.endswith("word_prediction.bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            if "text_tower" in name and "cross" in name and parameter.ndim == 2:
                parameter.mul_(3)
        model.word_prediction.bias[processor.token_id("[SEP]")] += 1.0  # some end early
    return model, processor


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("generation") / "data"
    with DatasetWriter(folder, image_size=64, source="phantom") as writer:
        write_phantoms(writer, 16, seed=0)
    return PreparedDataset.open(folder)


@pytest.fixture(scope="module")
def parts(dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    folder = tmp_path_factory.mktemp("processor") / "processor"
    return scrambled(validate(TINY, "test"), dataset.reports("train"), folder)


def settings(beams: int, batch_size: int = 5) -> GenerationConfig:
    return GenerationConfig(beams=beams, max_tokens=24, batch_size=batch_size)


def from_dataset(parts: Parts, dataset: PreparedDataset, config: GenerationConfig) -> list[str]:
    studies = range(len(dataset))
    return [text for _, text in write_dataset_reports(*parts, dataset, studies, config)]


@pytest.mark.parametrize("beams", [1, 3])
def test_files_get_the_reports_of_the_data_set(parts, dataset, tmp_path, beams):
    model, processor = parts
    expected = from_dataset(parts, dataset, settings(beams))
    assert len(set(expected)) > len(expected) // 2  # images matter
    for index in range(0, len(dataset), 4):
        paths = []
        for view, pixels in zip(dataset.views(index), dataset.pixels(index), strict=True):
            paths.append(tmp_path / f"{index}-{view}.png")
            Image.fromarray(np.array(pixels)).save(paths[-1])
        inputs = processor(paths, dataset.views(index))
        assert write_reports(model, processor, inputs, settings(beams)) == [expected[index]]


@pytest.mark.parametrize("beams", [1, 3])
def test_reports_do_not_depend_on_the_batch(parts, dataset, beams):
    together = from_dataset(parts, dataset, settings(beams, batch_size=16))
    assert from_dataset(parts, dataset, settings(beams, batch_size=1)) == together
    assert from_dataset(parts, dataset, settings(beams, batch_size=7)) == together


@pytest.mark.parametrize("beams", [1, 3])
def test_reports_do_not_depend_on_the_cache(parts, dataset, beams):
    model, processor = parts
    inputs = dataset_inputs(dataset, processor, np.arange(len(dataset)))
    with_cache = write_reports(model, processor, inputs, settings(beams))
    assert write_reports(model, processor, inputs, settings(beams), use_cache=False) == with_cache


def test_ids_order_and_progress(parts, dataset):
    done: list[int] = []
    studies = dataset.indices("train")[::-1]
    written = write_dataset_reports(*parts, dataset, studies, settings(1), done.append)
    assert [id for id, _ in written] == dataset.ids("train")[::-1]
    assert set(done[:-1]) == {5} and sum(done) == len(studies)


def test_longer_than_the_model_is_cut(parts, dataset):
    model, processor = parts
    inputs = dataset_inputs(dataset, processor, np.arange(2))
    config = GenerationConfig(beams=1, max_tokens=10_000)
    ids = model.generate(
        **{k: v for k, v in inputs.items() if v is not None}, max_new_tokens=63, num_beams=1
    )
    assert write_reports(model, processor, inputs, config) == processor.decode(ids)


def test_a_data_set_of_another_size_is_refused(parts, tmp_path):
    with DatasetWriter(tmp_path / "data", image_size=32, source="phantom") as writer:
        write_phantoms(writer, 3, seed=0)
    other = PreparedDataset.open(tmp_path / "data")
    with pytest.raises(ModelError, match=r"32-pixel images, the model reads 64.*--size 64"):
        dataset_inputs(other, parts[1], np.arange(1))


def test_embeddings_have_length_one_and_the_order_of_the_studies(parts, dataset):
    model, processor = parts
    order, done = np.array([3, 0, 7]), []
    rows = image_embeddings(model, processor, dataset, order, 2, on_progress=done.append)
    assert rows.shape == (3, 16) and done == [2, 1]
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-6)
    alone = image_embeddings(model, processor, dataset, np.array([0]))
    assert rows[1] == pytest.approx(alone[0], abs=1e-5)


@pytest.fixture
def saved(parts: Parts, tmp_path: Path) -> Path:
    for part in parts:
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_writes_the_same_reports(parts, dataset, saved):
    expected = from_dataset(parts, dataset, settings(3))
    assert from_dataset(load_model(saved), dataset, settings(3)) == expected


def damage(folder: Path, how: str) -> None:
    import json

    from safetensors.torch import load_file, save_file

    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "no folder":
        folder.rename(folder.with_name("away"))
    elif how == "no config":
        config.unlink()
    elif how == "no weights":
        weights.unlink()
    elif how == "cut weights":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif how == "missing weights":
        tensors = load_file(weights)
        del tensors["text_tower.word.weight"]
        save_file(tensors, weights, {"format": "pt"})
    elif how == "broken config":
        config.write_text("{")
    elif how == "config of another kind":
        config.write_text('{"model_type": "bert"}')
    elif how == "no processor":
        (folder / "processor_config.json").unlink()
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "another vocabulary":
        settings = json.loads(config.read_text())
        config.write_text(json.dumps(settings | {"vocab_size": settings["vocab_size"] + 5}))
    elif how == "another tokenizer":
        from kia.processing import train_tokenizer

        train_tokenizer(["the heart is large"] * 3, 90).save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no folder", "no model"),
        ("no config", "no model"),
        ("no weights", "has no model.safetensors"),
        ("cut weights", "cannot load"),
        ("missing weights", "lacks 1 weights.*text_tower.word.weight"),
        ("broken config", "cannot load"),
        ("config of another kind", None),
        ("no processor", "no usable processor"),
        ("no tokenizer", None),
        ("another vocabulary", r"word.weight is \(\d+, \d+\) in model.safetensors"),
        ("another tokenizer", "from different runs"),
    ],
)
def test_an_unusable_model_folder_is_one_line(saved, how, said):
    damage(saved, how)
    with pytest.raises(ModelError, match=said) as raised:
        load_model(saved)
    text = str(raised.value)
    assert "\n" not in text and str(saved) in text and len(text) < 600


def test_a_run_without_a_model_yet_says_so(tmp_path):
    (tmp_path / "run.yaml").write_text("config: {}")
    with pytest.raises(ModelError, match="no model yet"):
        load_model(tmp_path)


def settle_statistics(model, inputs) -> None:
    """Gives batch norm the statistics of these images, as training would."""
    norms = [
        m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
    ]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train().encode_images(**inputs)
        for norm in norms:  # features of random weights vary so little that rounding would show
            norm.running_var.clamp_(min=0.1)
    model.eval()


@pytest.mark.slow
@pytest.mark.iu_xray
@pytest.mark.parametrize("beams", [1, 3])
def test_200_real_studies_from_files_and_from_a_data_set(iu_xray, tmp_path, beams):
    """The `small` model with random weights: files as downloaded, and the prepared data set."""
    from kia.data.prepare import write_studies
    from kia.data.readers.iu_xray.studies import read_iu_xray

    tables = (iu_xray / name for name in ("indiana_reports.csv", "indiana_projections.csv"))
    studies, _ = read_iu_xray(iu_xray / "images", iu_xray / "annotation.json", *tables)
    chosen = [study for study in studies if study.split == "test"][:200]
    config = load_config("small")
    with DatasetWriter(tmp_path / "data", image_size=160, source="iu-xray") as writer:
        assert write_studies(writer, [[study] for study in chosen], workers=1) == []
    dataset = PreparedDataset.open(tmp_path / "data")
    reports = [study.report for study in studies if study.split == "train"]
    model, processor = scrambled(config, reports, tmp_path / "processor")
    settle_statistics(model, dataset_inputs(dataset, processor, np.arange(64)))
    decoding = GenerationConfig(beams=beams, max_tokens=16, batch_size=32)
    expected = from_dataset((model, processor), dataset, decoding)
    assert len(set(expected)) > 150
    alone = []
    for study in chosen:
        views = [image.view for image in study.images]
        inputs = processor([Path(image.path) for image in study.images], views)
        alone += write_reports(model, processor, inputs, decoding)
    # random weights have near ties, which rounding decides in a batch of 32 otherwise than alone
    assert sum(a != b for a, b in zip(alone, expected, strict=True)) <= 2
    inputs = dataset_inputs(dataset, processor, np.arange(len(dataset)))
    assert write_reports(model, processor, inputs, decoding, use_cache=False) == expected
