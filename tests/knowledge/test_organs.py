"""What belongs to which organ."""

import pytest

from kia.knowledge.organs import (
    LANDMARK_ORGANS,
    OBSERVATION_ORGANS,
    ORGANS,
    organ_of,
    organ_of_anatomy,
)


def test_every_landmark_and_observation_has_an_organ():
    assert len(LANDMARK_ORGANS) == 34
    assert len(OBSERVATION_ORGANS) == 14
    assert {*LANDMARK_ORGANS.values(), *OBSERVATION_ORGANS.values()} == set(ORGANS)


@pytest.mark.parametrize(
    ("finding", "anatomy", "organ"),
    [
        ("effusion", ["left lung base"], "pleura"),
        ("effusion", ["pericardial"], "heart and mediastinum"),
        ("opacities", ["right upper lobe"], "lungs"),
        ("opacity", [], "lungs"),
        ("opacity", ["pleural"], "pleura"),
        ("endotracheal tube", ["carina"], "devices"),
        ("catheter tip", ["SVC"], "devices"),
        ("fractures", ["chest"], "bones"),
        ("deformity", ["T8"], "bones"),
        ("mass", ["mediastinal"], "heart and mediastinum"),
        ("emphysema", ["subcutaneous"], "other"),
        ("pneumoperitoneum", ["right hemidiaphragm"], "other"),
        ("gadget", [], "other"),
    ],
)
def test_a_finding_is_of_its_own_organ_or_of_that_of_its_anatomy(finding, anatomy, organ):
    assert organ_of(finding, anatomy) == organ


def test_anatomy_of_no_known_word_has_no_organ():
    assert organ_of_anatomy("chest") is None
