"""Where the landmarks lie: sides and places, the JSRT contours, other grids, atlas files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kia.errors import DataError, UsageError
from kia.knowledge.atlas.boxes import read_boxes, read_contours
from kia.knowledge.atlas.landmarks import key_patches
from kia.knowledge.atlas.places import CELLS, LANDMARKS, SIDED, Atlas, shipped_atlas
from kia.knowledge.atlas.rules import RASTER, filled, landmark_masks

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def jsrt() -> Path:
    file = ROOT.parent / "shared" / "data" / "anatomy" / "jsrt_contours.json"
    if not file.is_file():
        pytest.skip("needs the JSRT contours (shared/data/anatomy/jsrt_contours.json)")
    return file


def centre(name: str, grid: int = 14) -> tuple[float, float]:
    """Mean (x, y) of a landmark's key patches, as fractions of the picture."""
    rows, columns = np.divmod(key_patches(name, grid), grid)
    return (columns.mean() + 0.5) / grid, (rows.mean() + 0.5) / grid


def coverage(file: Path, contour: str) -> np.ndarray:
    """Mean share of each of 196 patches inside a contour, drawn by Pillow (not by kia)."""
    size = 448
    images = json.loads(file.read_text())
    total = np.zeros((14, 14))
    for contours in images.values():
        picture = Image.new("1", (size, size))
        corners = [(x * size - 0.5, y * size - 0.5) for x, y in contours[contour]]
        ImageDraw.Draw(picture).polygon(corners, fill=1)
        total += np.asarray(picture).reshape(14, 32, 14, 32).mean(axis=(1, 3))
    return total.ravel() / len(images)


def test_there_are_34_landmarks_half_of_them_with_a_side():
    assert len(LANDMARKS) == len(set(LANDMARKS)) == 34
    assert len(SIDED) == 11
    assert all(f"{side} {name}" in LANDMARKS for side in ("right", "left") for name in SIDED)


@pytest.mark.parametrize("name", SIDED)
def test_patient_right_is_image_left(name):
    right, left = centre(f"right {name}"), centre(f"left {name}")
    assert right[0] < 0.5 < left[0]
    assert abs(right[1] - left[1]) < 0.1


def test_the_zones_of_a_lung_lie_below_each_other():
    for side in ("right", "left"):
        heights = [
            centre(f"{side} {name}")[1]
            for name in ("apical zone", "upper lung zone", "mid lung zone", "lower lung zone")
        ]
        assert heights == sorted(heights)
        assert centre(f"{side} lower lung zone")[1] < centre(f"{side} upper abdomen")[1]


def test_costophrenic_angles_sit_in_the_corners_and_cardiophrenic_ones_beside_the_heart():
    for side, outward in (("right", -1), ("left", 1)):
        x, y = centre(f"{side} costophrenic angle")
        assert outward * (x - 0.5) > 0.25 and y > 0.7
        assert outward * (x - centre(f"{side} cardiophrenic angle")[0]) > 0.1


@pytest.mark.parametrize("name", ["trachea", "carina", "spine", "upper mediastinum"])
def test_what_lies_on_the_midline(name):
    assert abs(centre(name)[0] - 0.5) < 0.06


def test_what_lies_right_and_left_of_the_midline():
    assert centre("aortic arch")[0] > 0.52 and centre("descending aorta")[0] > 0.52
    for name in ("svc", "right atrium", "cavoatrial junction"):
        assert centre(name)[0] < 0.48
    assert centre("cardiac silhouette")[0] > 0.52  # two thirds of the heart lie on the left


def test_the_vena_cava_ends_where_the_right_atrium_begins():
    heights = [centre(name)[1] for name in ("svc", "cavoatrial junction", "right atrium")]
    assert heights == sorted(heights)
    assert centre("trachea")[1] < centre("carina")[1] < centre("cardiac silhouette")[1]


@pytest.mark.parametrize("grid", [1, 2, 7, 12, 14, 16, 24, 32, 56, 64])
def test_every_grid_has_the_same_share_of_key_patches(grid):
    # 20 of 196 (Paper: App. A)
    for name in ("right lung", "carina", "left clavicle", "abdomen"):
        patches = key_patches(name, grid)
        assert len(set(patches.tolist())) == max(1, round(grid**2 * 20 / 196))
        assert patches.min() >= 0 and patches.max() < grid**2


@pytest.mark.parametrize("grid", [12, 16, 24, 28])
def test_other_grids_point_at_the_same_places(grid):
    for name in LANDMARKS:
        assert np.allclose(centre(name, grid), centre(name), atol=0.06)


def test_resampling_keeps_the_area():
    atlas = shipped_atlas()
    for name in ("right lung", "carina"):
        areas = [atlas.coverage_on(name, grid).mean() for grid in (7, 12, 14, 24, 37, 56, 112)]
        assert areas == pytest.approx([areas[0]] * len(areas))


def test_ties_go_to_the_patch_nearest_the_centre():
    mask = np.zeros((CELLS, CELLS), bool)
    mask[4 * 4 : 5 * 4, 9 * 4 : 10 * 4] = True  # patch (4, 9) of 14 × 14, all others are ties
    atlas = Atlas.from_masks([dict.fromkeys(LANDMARKS, mask)], "one patch")
    rows, columns = np.divmod(atlas.key_patches("carina"), 14)
    distance = (rows - 4) ** 2 + (columns - 9) ** 2
    everywhere = sorted((r - 4) ** 2 + (c - 9) ** 2 for r in range(14) for c in range(14))
    assert sorted(distance) == everywhere[:20]
    assert (rows[0], columns[0]) == (4, 9)


def test_an_unknown_landmark_or_grid_is_refused():
    with pytest.raises(UsageError, match="'lung' is no landmark"):
        key_patches("lung")
    with pytest.raises(UsageError, match="grid of 0"):
        key_patches("right lung", 0)


@pytest.mark.parametrize(
    ("contour", "name", "least"),
    [
        ("right_lung", "right lung", 0.85),
        # Best possible .87: the heart leaves 27 patches of left lung (right: 33), and their place
        # varies, so that few patches lie in the left lung of every patient.
        ("left_lung", "left lung", 0.85),
        ("cardiac_silhouette", "cardiac silhouette", 0.70),
    ],
)
def test_key_patches_cover_the_annotated_organ(jsrt, contour, name, least):
    measured = coverage(jsrt, contour)
    mine = measured[key_patches(name)].mean()
    assert mine >= least
    assert mine == pytest.approx(np.sort(measured)[-20:].mean(), abs=1e-3)


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_clavicles_patches_are_the_20_of_highest_coverage(jsrt, side):
    best = np.argsort(-coverage(jsrt, f"{side}_clavicle"))[:20]
    assert set(key_patches(f"{side} clavicle")) == set(best)


@pytest.mark.slow
def test_the_shipped_atlas_is_what_its_sources_give(jsrt):
    built = Atlas.from_masks(read_contours(jsrt), shipped_atlas().source)
    assert np.abs(built.coverage - shipped_atlas().coverage).max() <= 0.5 / 65535 + 1e-12
    assert built.images.tolist() == shipped_atlas().images.tolist() == [246] * 34


def test_filled_is_the_even_odd_rule():
    square = np.array([(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])
    mask = filled(square)
    quarter = RASTER // 4
    expected = np.zeros((RASTER, RASTER), bool)
    expected[quarter : 3 * quarter, quarter : 3 * quarter] = True
    assert np.array_equal(mask, expected)
    assert np.array_equal(filled(square[::-1]), expected)


def test_an_atlas_survives_its_file(tmp_path):
    shipped_atlas().save(tmp_path / "a.npz")
    again = Atlas.read(tmp_path / "a.npz")
    assert np.array_equal(again.coverage, shipped_atlas().coverage)
    assert again.source == shipped_atlas().source


def test_a_file_that_is_no_atlas_is_refused_in_one_line(tmp_path):
    file = tmp_path / "a.npz"
    with pytest.raises(DataError, match="No such file"):
        Atlas.read(file)
    whole = tmp_path / "whole.npz"
    shipped_atlas().save(whole)
    np.savez(tmp_path / "other.npz", names=np.array(["a"]))
    objects = {"names": np.array([{}], dtype=object), "coverage": 0, "images": 0, "source": 0}
    np.savez(tmp_path / "pickled.npz", **objects)
    for content in (
        b"",
        b"text",
        whole.read_bytes()[:5000],
        (tmp_path / "other.npz").read_bytes(),
        (tmp_path / "pickled.npz").read_bytes(),
    ):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.npz: no atlas"):
            Atlas.read(file)


def test_boxes_of_a_csv_and_of_scene_graphs_agree(tmp_path):
    table = tmp_path / "boxes.csv"
    table.write_text("landmark;x1;y1;x2;y2\ncarina;0,25;0,5;0.5;0.75\n")  # decimal commas, too
    scene = {
        "image_id": "a",
        "objects": [
            {"bbox_name": "carina", "x1": 56, "y1": 112, "x2": 112, "y2": 168},
            {"bbox_name": "left cardiac silhouette", "x1": 1, "y1": 1, "x2": 9, "y2": 9},
            {"bbox_name": "svc", "x1": None, "y1": None, "x2": None, "y2": None},
        ],
    }
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "a_SceneGraph.json").write_text(json.dumps(scene))
    (from_table,), (from_scene,) = read_boxes(table), read_boxes(tmp_path / "graphs")
    assert from_table.keys() == from_scene.keys() == {"carina"}
    assert np.array_equal(from_table["carina"], from_scene["carina"])
    rows, columns = np.nonzero(from_table["carina"])
    bounds = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
    assert bounds == (56, 112, 112, 168)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("landmark,x1,y1,x2\n", "no column y2"),
        ("landmark,x1,y1,x2,y2\nlung,0,0,1,1\n", "line 2: 'lung' is none of the 34"),
        ("landmark,x1,y1,x2,y2\nsvc,0,0,1,\n", "line 2: x1, y1, x2 and y2 are not all numbers"),
        ("landmark,x1,y1,x2,y2\nsvc,0,0,nan,1\n", "are not all numbers"),
        ("landmark,x1,y1,x2,y2\nsvc,0,0,inf,1\n", "outside the picture"),
        ("landmark,x1,y1,x2,y2\nsvc,12,30,40,50\n", "outside the picture; corners go from 0 to 1"),
        ("landmark,x1,y1,x2,y2\nsvc,0.5,0.5,0.5,0.6\n", "the box is empty"),
    ],
)
def test_wrong_boxes_are_refused(tmp_path, content, problem):
    file = tmp_path / "boxes.csv"
    file.write_text(content)
    with pytest.raises(DataError, match=problem):
        list(read_boxes(file))


@pytest.mark.parametrize("content", ["", "[]", '{"objects": 3}', '{"objects": [1]}', "[" * 99999])
def test_wrong_scene_graphs_are_refused(tmp_path, content):
    file = tmp_path / "scene.json"
    file.write_text(content)
    with pytest.raises(DataError, match=r"scene\.json: (not JSON|deeper than|no Chest ImaGenome)"):
        list(read_boxes(file))


@pytest.mark.parametrize("contours", [{}, [1], {"right_lung": 1}, {"right_lung": [[0.5, 0.5]]}])
def test_wrong_contours_are_refused(tmp_path, contours):
    file = tmp_path / "contours.json"
    file.write_text(json.dumps({"image": contours}))
    with pytest.raises(DataError, match=r"contours\.json: image: contour"):
        list(read_contours(file))


def test_landmark_masks_name_all_34(jsrt):
    contours = next(iter(json.loads(jsrt.read_text()).values()))
    masks = landmark_masks({name: np.array(points) for name, points in contours.items()})
    assert set(masks) == set(LANDMARKS)
    assert all(mask.any() for mask in masks.values())
