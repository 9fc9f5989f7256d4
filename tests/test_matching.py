"""Matching degree: what the IRM objective trains (Paper: Eq. 7), for any report and image."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kia.config import load_config
from kia.data.batches import BatchBuilder
from kia.data.phantom_store import write_phantoms
from kia.data.store import DatasetWriter, PreparedDataset
from kia.errors import ModelError
from kia.generation import dataset_inputs
from kia.matching import matching_degree
from kia.tasks.matching import Negatives, matching_rows
from kia.tasks.text_rows import encode_rows
from kia.training.build import build_model, build_processor

SMALL = [
    "model.image_size=64",
    "model.image_encoder.width=32",
    "model.text_encoder.width=32",
    "model.text_encoder.max_positions=100",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("matching")
    with DatasetWriter(folder / "data", image_size=64, source="phantom") as writer:
        write_phantoms(writer, 8, seed=0)
    dataset = PreparedDataset.open(folder / "data")
    make: Callable = lambda *more: load_config("tiny", [*SMALL, *more])  # noqa: E731
    config = make()
    processor = build_processor(config, dataset.reports(), folder / "processor")
    torch.manual_seed(0)
    model = build_model(config, processor).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "text_tower" in name and parameter.ndim == 2:
                parameter.mul_(3)  # or all pairs would look alike
        model.match_prediction.classifier.weight.normal_(std=0.2)
    return config, dataset, processor, model


@torch.no_grad()
def test_it_is_the_probability_that_irm_trains(made):
    config, dataset, processor, model = made
    builder = BatchBuilder(
        dataset, processor, config.data, config.tasks, patch_size=16, max_tokens=100, seed=0
    )
    studies = np.arange(4)
    batch = builder.build(studies, 0, augment=False)
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    wrong = torch.tensor([1, 2, 3, 0])
    drawn = Negatives(wrong, wrong, torch.ones(4, dtype=torch.bool), 0, 4)
    features = encode_rows(model, images, matching_rows(model, batch, drawn))
    reports = [dataset.study(study).report for study in range(4)]
    reports = [" ".join(report.split()[: config.data.max_words]) for report in reports]
    for kind, texts in (("match", reports), ("wrong_report", [reports[i] for i in wrong])):
        trained = model.match_prediction(features[kind][:, 0]).softmax(-1)[:, 1]
        found = matching_degree(model, processor, images, texts)
        torch.testing.assert_close(found, trained, rtol=1e-4, atol=1e-5)
        assert found.std() > 1e-3  # or any order would pass


def test_reports_choose_their_image(made):
    _, dataset, processor, model = made
    inputs = dataset_inputs(dataset, processor, np.arange(3))
    report, other = dataset.study(0).report, dataset.study(5).report
    found = matching_degree(model, processor, inputs, [report, other, report], studies=[2, 0, 0])
    for place, (study, text) in enumerate([(2, report), (0, other), (0, report)]):
        alone = dataset_inputs(dataset, processor, np.array([study]))
        expected = matching_degree(model, processor, alone, [text])
        torch.testing.assert_close(found[place : place + 1], expected, rtol=1e-4, atol=1e-5)


def test_a_model_without_irm_says_so(made, monkeypatch):
    _, dataset, processor, model = made
    monkeypatch.setattr(model.config, "tasks", ["rg"])
    with pytest.raises(ModelError, match=r"tasks\.irm\.weight"):
        matching_degree(model, processor, dataset_inputs(dataset, processor, np.arange(1)), ["x"])
