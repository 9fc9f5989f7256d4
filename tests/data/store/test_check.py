"""`kia data check` finds damage, names the study, and says what splits share."""

import dataclasses
import json
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.cli.data.command import app
from kia.data.picture import contact_sheet
from kia.data.store.check import check_dataset
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError, UsageError
from kia.studies import SPLITS, Study, StudyImage

SIZE = 8
STRIDE = 37


def study(number: int, **changes) -> Study:
    return dataclasses.replace(
        Study(
            id=f"s{number}",
            split=SPLITS[number % 3],
            images=(StudyImage("a", "frontal"), StudyImage("b", "lateral")),
            report=f"Clear lungs, number {number}.",
            labels={"Edema": 1, "Fracture": -1, "Pneumonia": 0, "No Finding": None},
            landmarks=("left lung",),
            patient=f"p{number}",
        ),
        **changes,
    )


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (2, SIZE, SIZE), dtype=np.uint8)


def write(out: Path, studies=None, images=None) -> PreparedDataset:
    with DatasetWriter(out, image_size=SIZE, source="test") as writer:
        for number in range(6):
            one = (studies or {}).get(number, study(number))
            writer.add(one, (images or {}).get(number, pixels(number)))
    return PreparedDataset.open(out)


def flip(file: Path, offset: int) -> None:
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


def test_counts_balance_and_lengths(tmp_path):
    result = check_dataset(write(tmp_path / "set"))
    assert result["splits"]["val"] == {
        "studies": 2,
        "patients": 2,
        "frontal": 2,
        "lateral": 2,
        "mean_words": 6.0,  # clear lungs , number 1 .
        "median_words": 6.0,
        "max_words": 6,
        "repeated_reports": 0,
        "reports_in_train": 0,
    }
    labels = {"present": 0, "absent": 0, "uncertain": 0, "silent": 0}
    assert result["labels"]["Edema"] == labels | {"present": 6}
    assert result["labels"]["Fracture"] == labels | {"uncertain": 6}
    assert result["labels"]["Pneumonia"] == labels | {"absent": 6}
    assert result["labels"]["No Finding"] == labels | {"silent": 6}
    assert result["other_languages"] == {}
    assert result["same_images"] == []
    assert result["images_in_two_splits"] == result["blank_images"] == 0
    assert result["patients_in_two_splits"] == []


def test_reports_in_other_languages_are_counted(tmp_path, capsys):
    studies = {n: study(n, report="Kein Erguss.") for n in (1, 4)} | {
        2: study(2, report="Pas d'épanchement.")
    }
    assert check_dataset(write(tmp_path / "set", studies))["other_languages"] == {"de": 2, "fr": 1}
    app(["check", str(tmp_path / "set")], standalone_mode=False)
    assert "3 reports are not in English: 2 German, 1 French" in capsys.readouterr().out


def test_any_flipped_byte_of_the_images_names_its_study(tmp_path):
    dataset = write(tmp_path / "set")
    shard = dataset.path / "images-00000.npy"
    start = shard.stat().st_size - 6 * 2 * SIZE**2
    for number in (0, 3, 5):
        place = start + (2 * number + 1) * SIZE**2 + 7
        flip(shard, place)
        with pytest.raises(DataError, match=rf"damaged data set \(study s{number} is not as it"):
            check_dataset(PreparedDataset.open(dataset.path))
        flip(shard, place)
    assert check_dataset(dataset)["hash"] == dataset.info["content_hash"]


def test_a_flipped_byte_of_a_report_names_its_study(tmp_path):
    table = write(tmp_path / "set").path / "studies.arrow"
    flip(table, table.read_bytes().index(b"number 4"))
    with pytest.raises(DataError, match="study s4 is not as it was prepared"):
        check_dataset(PreparedDataset.open(table.parent))


def test_no_flipped_byte_of_the_table_passes_or_crashes(tmp_path):
    dataset = write(tmp_path / "set")
    table = dataset.path / "studies.arrow"
    size, missed = table.stat().st_size, []
    for place in range(0, size, STRIDE):
        flip(table, place)
        try:
            if check_dataset(PreparedDataset.open(dataset.path))["hash"]:
                missed.append(place)
        except DataError as error:
            assert "\n" not in str(error)
        flip(table, place)
    assert len(missed) < size / STRIDE / 2, missed


def test_shared_images_and_patients_are_named(tmp_path, capfd):
    out = tmp_path / "set"
    same = pixels(2)
    same[1] = pixels(0)[0]
    write(out, {4: study(4, patient="p0")}, {2: same, 5: np.zeros((2, SIZE, SIZE), np.uint8)})
    file = tmp_path / "check.json"
    app(["check", str(out), "--json", str(file)], standalone_mode=False)
    printed = capfd.readouterr().out
    assert "same image: s0 (frontal, train) = s2 (lateral, test)" in printed
    assert "same image: s5 (frontal, test) = s5 (lateral, test)" in printed
    assert "1 images occur in more than one split" in printed
    assert "1 patients are in more than one split: p0" in printed
    assert "2 images are blank" in printed
    found = json.loads(file.read_text())
    assert found["same_images"][0] == [
        {"id": "s0", "view": "frontal", "split": "train"},
        {"id": "s2", "view": "lateral", "split": "test"},
    ]
    with pytest.raises(DataError, match="its splits share patients or images"):
        app(["check", str(out), "--strict"], standalone_mode=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": {"Edema": 2}}, "study s3 has the label Edema=2"),
        ({"labels": {"Cough": 1}}, "study s3 has the label Cough=1"),
        ({"landmarks": ("left ear",)}, "study s3 has the landmark 'left ear'"),
    ],
)
def test_values_out_of_range_name_their_study(tmp_path, change, message):
    dataset = write(tmp_path / "set", {3: study(3, **change)})
    with pytest.raises(DataError, match=message):
        check_dataset(dataset)


def test_contact_sheet_shows_studies_from_all_over(tmp_path):
    dataset = write(tmp_path / "set")
    sheet = contact_sheet(dataset, columns=4, rows=2, side=32)
    cell = np.asarray(sheet)[12 : 12 + 32, 12 : 12 + 32]
    expected = np.asarray(Image.fromarray(pixels(0)[0]).resize((32, 32)))
    np.testing.assert_array_equal(cell, expected)
    app(["check", str(dataset.path), "--sheet", str(tmp_path / "a.png")], standalone_mode=False)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 8 * 144
    with pytest.raises(UsageError, match=r"ends in \.png"):
        app(["check", str(dataset.path), "--sheet", "a.jpg"], standalone_mode=False)


def test_a_data_set_is_read_only_and_can_still_be_replaced(tmp_path):
    out = tmp_path / "set"
    for overwrite in (False, True):
        with DatasetWriter(out, image_size=SIZE, source="x", overwrite=overwrite) as writer:
            writer.add(study(0), pixels(0))
            writer.side_file("more.txt").write_text("more")
    writable = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    assert [path for path in out.iterdir() if path.stat().st_mode & writable] == []
