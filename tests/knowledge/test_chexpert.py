"""The 14 observations and the label report."""

import re

import pytest

from kia.knowledge.chexpert import OBSERVATIONS, label_report

# the columns of the CheXpert labeler (Irvin et al. 2019), sorted
NAMES = """Atelectasis, Cardiomegaly, Consolidation, Edema, Enlarged Cardiomediastinum, Fracture,
Lung Lesion, Lung Opacity, No Finding, Pleural Effusion, Pleural Other, Pneumonia, Pneumothorax,
Support Devices"""


def states(report):
    pattern = re.compile(r"(?:^in this radiology image| *),? ?([a-z ]+?) is (present|absent)")
    return dict(pattern.findall(report))


def test_the_observations_are_chexpert_s_fourteen():
    assert sorted(OBSERVATIONS) == re.split(r",\s+", NAMES)


def test_every_observation_is_named_once_as_in_the_paper():
    report = label_report({"Atelectasis": 1, "Cardiomegaly": 0})
    assert report.startswith("in this radiology image, ") and report.endswith(".")
    assert "atelectasis is present, " in report
    assert "cardiomegaly is absent, " in report
    assert list(states(report)) == [name.lower() for name in OBSERVATIONS]


@pytest.mark.parametrize(
    ("value", "word"), [(1, "present"), (-1, "present"), (0, "absent"), (None, "absent")]
)
@pytest.mark.parametrize("name", OBSERVATIONS)
def test_a_label_is_present_or_absent(name, value, word):
    said = states(label_report({name: value}))
    assert said.pop(name.lower()) == word
    assert set(said.values()) == {"absent"}
