"""How well the observations of a report fit an image: the formula, by hand."""

import math

import pytest
import torch

from kia.agreement import label_agreement, label_probabilities
from kia.config import load_config
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import ModelError
from kia.explain.attention.weights import label_attention
from kia.generation import dataset_inputs
from kia.knowledge.chexpert import OBSERVATIONS
from kia.training.build import build_model, build_processor, label_shares

SETTINGS = [
    "model.image_size=64",
    "model.image_encoder.width=32",
    "model.text_encoder.width=32",
    "tasks.mlm.masking=label",
]
REPORTS = {
    "the heart is enlarged. no pleural effusion.": {"Cardiomegaly"},
    "possible pneumonia.": {"Pneumonia"},
    "the lungs are clear.": {"No Finding"},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    folder = tmp_path_factory.mktemp("agreement") / "data"
    with DatasetWriter(folder, image_size=64, source="phantom") as writer:
        write_phantoms(writer, 40, seed=0)
    return PreparedDataset.open(folder)


@pytest.fixture(scope="module")
def made(dataset, tmp_path_factory):
    config = load_config("tiny", SETTINGS)
    folder = tmp_path_factory.mktemp("processor") / "processor"
    processor = build_processor(config, dataset.reports(), folder)
    torch.manual_seed(0)
    model = build_model(config, processor).eval()
    model.config.label_shares = label_shares(config, dataset)
    return model, processor, dataset_inputs(dataset, processor, dataset.indices("val")[:2])


def test_shares_are_counted_from_the_training_reports(dataset):
    config = load_config("tiny", SETTINGS)
    studies = list(dataset.studies("train"))
    for place, name in enumerate(OBSERVATIONS):
        present = sum((study.labels or {}).get(name) in (1, -1) for study in studies)
        expected = (present + 1) / (len(studies) + 2)
        assert label_shares(config, dataset)[place] == pytest.approx(expected)
    assert label_shares(load_config("tiny", ["tasks.mlm.masking=graph"]), dataset) is None


@pytest.mark.parametrize(("uncertain", "share"), [("present", 4 / 8), ("absent", 2 / 8)])
def test_an_uncertain_observation_counts_as_the_label_report_words_it(uncertain, share):
    class Six:
        def label_sets(self, split, reported=False):
            yield {"Edema": 1}, 1
            yield {"Edema": -1}, 2
            yield {"Edema": 0}, 3

    config = load_config("tiny", [*SETTINGS, f"tasks.mlm.uncertain_as={uncertain}"])
    shares = dict(zip(OBSERVATIONS, label_shares(config, Six()), strict=True))
    assert shares["Edema"] == share and shares["Fracture"] == 1 / 8


def test_answers_are_those_behind_the_heat_maps(made):
    expected = label_attention(*made).present
    torch.testing.assert_close(label_probabilities(*made), expected, rtol=1e-4, atol=1e-6)


def test_agreement_is_mutual_information_summed_over_observations(made):
    model, processor, inputs = made
    answers = label_probabilities(*made).tolist()
    found = label_agreement(model, processor, inputs, [*REPORTS, *REPORTS], [0, 0, 0, 1, 1, 1])
    expected = []
    for study in (0, 1):
        for present in REPORTS.values():
            total = 0.0
            for name, p, q in zip(
                OBSERVATIONS, answers[study], model.config.label_shares, strict=True
            ):
                total += math.log(p / q) if name in present else math.log((1 - p) / (1 - q))
            expected.append(total)
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert len(set(expected)) == 6


def test_a_model_that_did_not_count_labels_is_refused(made, monkeypatch):
    model, processor, inputs = made
    monkeypatch.setattr(model.config, "label_shares", None)
    with pytest.raises(ModelError, match="label"):
        label_agreement(model, processor, inputs, ["clear"], [0])
