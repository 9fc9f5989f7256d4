"""Phantom pictures: reproducible, findings where they are said to be, and visible there."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from kia.phantoms import studies as phantom
from kia.phantoms.anatomy import heart, lung, ribs, sample_patient
from kia.phantoms.canvas import Canvas
from kia.phantoms.findings import OBSERVATIONS, sample_findings
from kia.phantoms.studies import PhantomStudy, contact_sheet, phantom_study, split_of

SIZE = 128
STUDIES = 250
LANDMARKS = {
    *(f"{side} {place}" for side in ("right", "left") for place in ("lung", "clavicle")),
    *(f"{side} {place}" for side in ("right", "left") for place in ("hemidiaphragm",)),
    *(f"{side} costophrenic angle" for side in ("right", "left")),
    *(f"{s} {zone} lung zone" for s in ("right", "left") for zone in ("upper", "mid", "lower")),
    "cardiac silhouette",
    "mediastinum",
    "trachea",
    "carina",
    "spine",
}


@cache
def studies() -> tuple[PhantomStudy, ...]:
    return tuple(phantom_study(3, index, size=SIZE) for index in range(STUDIES))


def test_a_study_depends_only_on_seed_index_and_size():
    first = phantom_study(3, 17, size=SIZE, split="test")
    again = studies()[17]
    assert np.array_equal(first.pixels, again.pixels)
    assert first.study.report == again.study.report
    assert first.study.graph == again.study.graph
    assert first.landmarks == again.landmarks
    assert (first.study.split, again.study.split) == ("test", "train")


def test_seeds_and_indices_give_different_studies():
    assert not np.array_equal(phantom_study(4, 17, size=SIZE).pixels, studies()[17].pixels)
    assert len({study.pixels.tobytes() for study in studies()}) == STUDIES


def test_the_report_does_not_depend_on_the_size():
    assert phantom_study(3, 8, size=64).study.report == studies()[8].study.report


def test_pictures_are_two_grey_scale_views_named_after_the_study():
    one = studies()[0]
    assert (one.pixels.shape, one.pixels.dtype) == ((2, SIZE, SIZE), np.uint8)
    assert one.study.id == "phantom-3-000000"
    assert [(i.path, i.view) for i in one.study.images] == [
        ("phantom-3-000000/frontal.png", "frontal"),
        ("phantom-3-000000/lateral.png", "lateral"),
    ]
    assert one.study.sections == {"findings": one.study.report}


@pytest.mark.parametrize(
    ("index", "split"), [(0, "train"), (79, "train"), (80, "val"), (99, "test")]
)
def test_splits_go_by_index(index, split):
    assert split_of(index, 100) == split


def test_split_shares_hold_for_a_number_that_ten_does_not_divide():
    assert Counter(split_of(i, 37) for i in range(37)) == {"train": 30, "val": 4, "test": 3}


def test_every_kind_of_finding_appears_and_a_third_is_normal():
    samples = [sample_findings(np.random.default_rng((0, i))) for i in range(3000)]
    assert {f.kind for findings in samples for f in findings} == set(OBSERVATIONS)
    normal = sum(not findings for findings in samples) / len(samples)
    assert normal == pytest.approx(0.35, abs=0.03)
    assert max(len(findings) for findings in samples) == 3


def test_masks_are_not_empty_and_on_the_right_side_of_the_picture():
    for one in studies():
        for finding in one.findings:
            mask = finding.masks["frontal"]
            assert (mask.shape, mask.dtype) == ((SIZE, SIZE), bool)
            assert all(m.any() for m in finding.masks.values()), finding.kind
            x1, _, x2, _ = one.landmarks["spine"]
            middle = (x1 + x2) / 2
            column = (np.nonzero(mask)[1].mean() + 0.5) / SIZE
            # A left-sided line ends in the cava, so its mean is no test of its side.
            if finding.side in ("right", "left") and finding.observation != "Support Devices":
                assert (column < middle) == (finding.side == "right"), finding


def test_findings_change_the_picture_more_inside_their_mask_than_outside():
    for index in range(120):
        patient, findings = phantom._sample(3, index)
        healthy, _ = phantom._draw(patient, (), SIZE)
        for finding in findings:
            ill, (drawn,) = phantom._draw(patient, (finding,), SIZE)
            change = np.abs(ill.astype(float) - healthy)
            for view, mask in drawn.masks.items():
                picture = change[("frontal", "lateral").index(view)]
                inside, outside = picture[mask].mean(), picture[~mask].mean()
                assert inside > 4 * outside, (finding, view, inside, outside)
                assert inside > 4, (finding, view, inside)


def test_a_more_severe_finding_covers_more():
    area: dict[tuple[str, str | None], list[int]] = {}
    for one in studies():
        for finding in one.findings:
            if (
                finding.kind in ("effusion", "pneumothorax", "nodule")
                and finding.side != "bilateral"
            ):
                key = (finding.kind, finding.severity)
                area.setdefault(key, []).append(int(finding.masks["frontal"].sum()))
    for kind in ("effusion", "pneumothorax", "nodule"):
        small, moderate, large = (np.mean(area[kind, s]) for s in ("small", "moderate", "large"))
        assert small < moderate < large


def test_cardiomegaly_is_a_cardiothoracic_ratio_over_one_half():
    for one in studies():
        left, right = one.landmarks["right lung"], one.landmarks["left lung"]
        x1, _, x2, _ = one.landmarks["cardiac silhouette"]
        ratio = (x2 - x1) / (right[2] - left[0])
        assert (ratio > 0.5) == any(f.kind == "cardiomegaly" for f in one.findings)


def test_landmarks_lie_in_the_picture_on_their_side():
    for one in studies():
        assert set(one.landmarks) == LANDMARKS
        for x1, y1, x2, y2 in one.landmarks.values():
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
        assert one.landmarks["right lung"][2] < one.landmarks["left lung"][2]
        assert one.landmarks["right hemidiaphragm"][0] < one.landmarks["left hemidiaphragm"][0]


def test_air_is_darker_than_soft_tissue_and_bone_is_brighter_than_what_surrounds_it():
    for index in range(20):
        patient = sample_patient(np.random.default_rng(index))
        picture = phantom._draw(patient, (), SIZE)[0][0].astype(float)
        canvas = Canvas(SIZE, patient.angle, patient.shift)
        lungs = canvas.mask(lung(patient, "right"), lung(patient, "left"))
        solid = canvas.mask(heart(patient))
        bones = [(part, 0.02, 1.0) for side in ("right", "left") for part, _ in ribs(patient, side)]
        rib = canvas.strokes(bones) > 0.5
        air = lungs & ~solid & ~rib
        assert picture[air].mean() + 40 < picture[solid].mean()
        assert picture[air].mean() + 5 < picture[lungs & ~solid & rib].mean()


def test_contact_sheet_holds_all_studies():
    sheet = contact_sheet(studies()[:5], columns=3)
    assert sheet.size == (3 * (2 * SIZE + 4), 2 * (SIZE + 40))
    assert contact_sheet([]).size[1] > 0
