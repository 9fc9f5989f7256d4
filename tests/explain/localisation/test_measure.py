"""Localisation: numbers by hand, priors, phantoms and tables of boxes."""

import numpy as np
import pytest
from PIL import Image

from kia.config import validate
from kia.data.readers.phantoms import read_truth, unpack_mask, write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError
from kia.explain.localisation.boxes import box_batches, read_boxes
from kia.explain.localisation.measure import (
    PlacedFinding,
    _on_one_grid,
    drawn_findings,
    finding_maps,
    phantom_findings,
    placed_finding,
    score_localisation,
    stated_landmarks,
)
from kia.processing import KIAProcessor, train_tokenizer
from kia.training.build import build_model


def square(top, left, height, width, side=8):
    mask = np.zeros((side, side), bool)
    mask[top : top + height, left : left + width] = True
    return mask


# 2 × 2 cells of 4 pixels; their centres are the pixels 2 and 6 of each axis
FINDINGS = [
    PlacedFinding(0, "Edema", square(0, 0, 4, 4), ()),  # cell 0
    PlacedFinding(0, "Fracture", square(0, 4, 8, 4), ()),  # cells 1 and 3
    PlacedFinding(1, "Edema", square(0, 0, 4, 8), ()),  # cells 0 and 1
]
MAPS = np.array([[1.0, 0, 0, 0], [0, 0.6, 0, 0.3], [0, 0.2, 0.2, 0.6]])


def test_a_small_case_by_hand():
    found = score_localisation(FINDINGS, {"attention": MAPS, "even": np.ones((3, 4))})
    assert (found["findings"], found["grid"]) == (3, 2)
    own = found["systems"]["attention"]
    # hits: cell 0 yes; cell 1 yes; cell 3 of a finding in 0 and 1: no
    assert own["mean"]["pointing"] == pytest.approx(2 / 3)
    assert own["observations"]["Edema"]["pointing"] == pytest.approx(1 / 2)
    assert own["macro"]["pointing"] == pytest.approx((1 / 2 + 1) / 2)
    assert own["mean"]["inside"] == pytest.approx((1 + 1 + 0.2) / 3)
    assert own["mean"]["lift"] == pytest.approx((1 / 0.25 + 1 / 0.5 + 0.2 / 0.5) / 3)
    # up to 1/3 of the maximum: cell 0 of 0; 1, 3 of 1, 3; 1, 2, 3 of 0, 1: one of four
    assert own["mean"]["iou"] == pytest.approx((1 + 1 + 1 / 4) / 3)
    assert own["threshold"] == pytest.approx(0.05)
    # above 1/2 of the maximum the fracture loses cell 3, and the last has none of its own
    assert own["iou_by_threshold"]["0.95"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["systems"]["random"]["mean"]["pointing"] == pytest.approx((1 + 2 + 2) / 4 / 3)
    assert found["systems"]["even"]["mean"] == found["systems"]["random"]["mean"]
    best = found["systems"]["best possible"]["mean"]
    assert best["pointing"] == best["iou"] == best["inside"] == 1


def test_the_average_place_is_that_of_the_same_observation_in_other_images():
    average = score_localisation(FINDINGS, {"attention": MAPS})["systems"]["average place"]
    # edema of image 0 by that of image 1: cells 0 and 1, one of them right; the other way: cell 0;
    # no other fracture: even
    expected = (1 / 2 + 1 + 2 / 4) / 3
    assert average["mean"]["pointing"] == pytest.approx(expected)


def test_the_interval_against_the_atlas_is_of_whole_images():
    found = score_localisation(FINDINGS, {"attention": MAPS})["above_atlas"]["attention"]
    # the atlas without landmarks is even: 1/4, 1/2, 1/2; gains 3/4, 1/2, −1/2
    assert found["pointing"] == pytest.approx((0.75 + 0.5 - 0.5) / 3)
    assert found["low"] == pytest.approx(-0.5)  # both draws are image 1
    assert found["high"] == pytest.approx((0.75 + 0.5) / 2)


def test_coarse_maps_are_repeated_and_empty_ones_are_even():
    coarse, fine = np.array([[1.0, 2, 3, 4], [0, 0, 0, 0]]), np.zeros((2, 16))
    found = _on_one_grid({"a": coarse, "b": fine})
    expected = [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4]
    np.testing.assert_array_equal(found["a"], [expected, [1] * 16])
    np.testing.assert_array_equal(found["b"], np.ones((2, 16)))


def test_nothing_to_point_at_is_said():
    with pytest.raises(DataError, match="no finding is visible"):
        score_localisation([], {"attention": np.zeros((0, 4))})


def test_the_landmarks_are_those_of_the_sentence_that_states_the_finding():
    report = (
        "The heart is normal in size. There is a faint opacity in the right upper lung zone. "
        "No pleural effusion. The left costophrenic angle is sharp. Midline sternal wires."
    )
    assert stated_landmarks(report, "Lung Opacity") == ("right upper lung zone",)
    assert stated_landmarks(report, "Support Devices") == ()
    assert stated_landmarks(report, "Pleural Effusion") == ()  # denied
    mask = [square(0, 0, 2, 2)]
    assert placed_finding(0, "Lung Opacity", mask, report).landmarks == ("right upper lung zone",)
    assert placed_finding(0, "Cardiomegaly", mask).landmarks == ("cardiac silhouette",)
    assert placed_finding(0, "Fracture", mask).landmarks == ("right lung", "left lung")


def test_phantoms_have_one_finding_for_each_drawn_observation(tmp_path):
    with DatasetWriter(tmp_path / "data", image_size=64, source="phantom") as writer:
        write_phantoms(writer, 60, seed=1)
    dataset = PreparedDataset.open(tmp_path / "data")
    studies = dataset.indices("train")
    found = {(f.image, f.observation): f.mask for f in phantom_findings(dataset, studies)}
    assert len(found) == len(list(drawn_findings(dataset, studies))) > 20
    truth, masks = read_truth(dataset), np.load(dataset.path / "masks.npy")
    for (row, name), mask in found.items():
        drawn = truth[dataset.study(int(studies[row])).id]["findings"]
        (place,) = (f["masks"]["frontal"] for f in drawn if f["observation"] == name)
        np.testing.assert_array_equal(mask, unpack_mask(masks[place], 64))
    (dataset.path / "masks.npy").unlink()
    with pytest.raises(DataError, match="holds no phantoms"):
        list(drawn_findings(dataset, studies))


@pytest.fixture(scope="module")
def processor():
    return KIAProcessor(train_tokenizer(["The heart is normal."], 200), image_size=32)


@pytest.fixture(scope="module")
def tiny(processor):
    size = {"width": 16, "depth": 1, "heads": 2, "ffn_width": 16}
    text = {**size, "max_positions": 200, "vocab_size": 200}
    model = {"image_encoder": size, "text_encoder": text, "image_size": 32}
    return build_model(validate({"model": model}, "test"), processor).eval()


@pytest.fixture
def table(tmp_path):
    """Writes boxes.csv beside two pictures and a mask; gives its path."""
    for name, shape in (("a.png", (64, 128)), ("b.png", (64, 64)), ("mask.png", (64, 64))):
        pixels = np.full(shape, 90, np.uint8)
        if name == "mask.png":
            pixels[:] = 255 * np.tri(64, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)

    def write(*rows):
        path = tmp_path / "boxes.csv"
        path.write_text("\n".join(["image,observation,x,y,w,h,mask", *rows]))
        return path

    return write


def test_boxes_and_masks_are_seen_as_the_model_sees_the_image(table, processor):
    path = table(
        *("a.png,pneumothorax,0,0,64,32,", "a.png,Pneumothorax,64,32,64,32,"),
        *("b.png,Edema,,,,,mask.png", "a.png,Fracture,0,0,0.5,0.5,"),
    )
    images = read_boxes(path)
    assert [file.name for file in images] == ["a.png", "b.png"]
    ((first, one), (second, other)) = box_batches(images, processor, batch_size=1)
    assert first["pixel_values"].shape == second["pixel_values"].shape == (1, 1, 1, 32, 32)
    (both,) = one  # the fracture is smaller than a pixel of what the model reads
    assert (both.image, both.observation) == (0, "Pneumothorax")
    expected = np.zeros((32, 32), bool)
    expected[:16, :16] = expected[16:, 16:] = True
    np.testing.assert_array_equal(both.mask, expected)
    (edema,) = other
    assert (edema.image, edema.observation) == (1, "Edema")
    assert (edema.mask ^ np.tri(32, dtype=bool)).mean() < 0.04  # but for its edge


def test_boxes_follow_a_picture_whose_pixels_are_not_square(table, processor, dicom, tmp_path):
    """Pixels twice as wide as high, padded: the bright part and its box stay one place."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[16:48, 8:24] = 255
    (tmp_path / "wide.dcm").write_bytes(dicom(pixels, PixelAspectRatio=[1, 2]))
    padding = KIAProcessor(processor.word_pieces, image_size=32, resize="pad")
    rows = read_boxes(table("wide.dcm,Edema,8,16,16,32,"))
    ((inputs, (edema,)),) = box_batches(rows, padding)
    np.testing.assert_array_equal(edema.mask, inputs["pixel_values"][0, 0, 0].numpy() > 0)
    assert edema.mask.any(0).sum() == 8  # of 32 columns for 64
    assert edema.mask.any(1).sum() == 8  # of 16 rows for 64


def test_images_without_a_visible_finding_count_as_images_alone(table, processor, tiny):
    rows = read_boxes(table("a.png,Edema,0,0,0.5,0.5,", "b.png,Edema,0,0,32,32,"))
    found, maps = finding_maps(tiny, processor, box_batches(rows, processor, batch_size=1))
    assert [(one.image, one.observation) for one in found] == [(1, "Edema")]
    assert {len(one) for one in maps.values()} == {1}
    rows = read_boxes(table("a.png,Edema,0,0,0.5,0.5,"))
    found, maps = finding_maps(tiny, processor, box_batches(rows, processor))
    with pytest.raises(DataError, match="no finding is visible"):
        score_localisation(found, maps)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.png,Pneumothorx,0,0,1,1,", r"line 3: .* did you mean 'Pneumothorax'"),
        ("a.png,Edema,0,0,5,,", "line 3: give numbers for x, y, w, h, or a mask"),
        ("a.png,Edema,0,0,5,inf,", "line 3: box .* is not inside its image of 128 × 64"),
        ("a.png,Edema,128,0,5,5,", "line 3: box x=128 .* is not inside"),
        ("a.png,Edema,,,,,mask.png", "line 3: the mask has shape"),
        ("absent.png,Edema,0,0,5,5,", "absent.png: no such image"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(row, said, table, processor):
    with pytest.raises(DataError, match=said):
        list(box_batches(read_boxes(table("b.png,Edema,0,0,9,9,", row)), processor))


def test_a_table_without_rows_is_refused(table):
    with pytest.raises(DataError, match="no row below"):
        read_boxes(table())
