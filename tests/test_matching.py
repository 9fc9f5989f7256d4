"""Matching degree: what the IRM objective trains (Paper: Eq. 7), for any report and image."""

import numpy as np
import pytest
import torch
from tests.random_model import random_model

from kia.data.batches.batch import BatchBuilder
from kia.errors import ModelError
from kia.generation import dataset_inputs
from kia.matching import matching_degree
from kia.tasks.matching import Negatives, matching_rows
from kia.tasks.text_rows import encode_rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    config, dataset, processor, model = random_model(
        tmp_path_factory.mktemp("matching"), positions=100
    )
    with torch.no_grad():
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
    drawn = Negatives(
        wrong, wrong, torch.ones(4, dtype=torch.bool), 0, 4, torch.ones(4, dtype=torch.bool)
    )
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
