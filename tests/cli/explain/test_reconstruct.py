"""`kia explain reconstruct` and `kia explain words` as a user meets them."""

import json

import numpy as np
import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset


@pytest.fixture(scope="module")
def many(make_phantoms, tmp_path_factory):
    """Enough studies for some to differ on the heart."""
    return make_phantoms(tmp_path_factory.mktemp("reconstruct") / "data", 40)


def test_a_split_has_errors_with_right_and_wrong_reports(model, many, tmp_path, kia_command):
    file = tmp_path / "new" / "errors.json"
    code, out, err = kia_command(
        *("explain", "reconstruct", str(model), "--data", str(many), "--split", "train"),
        *("--json", str(file)),
    )
    assert code == 0, err
    assert "edited report − own" in out and "mean image" in out
    found = json.loads(file.read_text())["landmarks"]
    heart = found["cardiac silhouette"]
    assert heart["exchanges"] == heart["studies"] and heart["exchanges"] % 2 == 0
    assert set(heart["error"]) == {"own", "edited", "other", "empty", "mean_image"}
    for name, worth in heart["difference"].items():
        assert worth["difference"] == pytest.approx(heart["error"][name] - heart["error"]["own"])
    assert found["all"]["exchanges"] == sum(
        one["exchanges"] for name, one in found.items() if name != "all"
    )


@pytest.mark.parametrize("source", ["study", "image"])
def test_one_image_is_drawn_under_different_reports(
    source, model, many, pictures, tmp_path, kia_command
):
    picture = tmp_path / "new" / "rebuilt.png"
    dataset = PreparedDataset.open(many)
    hearts = [study.id for study in dataset.studies("train") if study.labels["Cardiomegaly"] == 1]
    words = ["--data", str(many), "--id", hearts[0]]
    if source == "image":
        words = [pictures[0][0]]
        for name in ("normal", "large"):
            (tmp_path / f"{name}.txt").write_text(f"The heart is {name}.")
            words += ["--report", str(tmp_path / f"{name}.txt")]
    code, out, err = kia_command(
        "explain", "reconstruct", str(model), *words, "--out", str(picture)
    )
    assert (code, "wrote" in out) == (0, True), err
    drawn = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert drawn.shape[1] > 1000 and drawn.std() > 10  # not blank
    outline = np.abs(drawn - (255, 140, 26)).sum(-1) < 30
    assert outline.sum() > 500  # key patches are outlined


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name an image"),
        (("IMAGE", "--data", "DATA"), "name an image"),
        (("IMAGE", "--out", "a.png"), "needs at least one"),
        (("IMAGE", "--report", "REPORT"), "needs its name"),
        (("IMAGE", "--report", "absent.txt", "--out", "a.png"), "no such file"),
        (("--data", "DATA", "--out", "a.png"), "name it by --id"),
        (("--data", "DATA", "--id", "x", "--out", "a.png", "--json", "a.json"), "over a split"),
        (("--data", "DATA", "--id", "x", "--out", "a.jpg"), "ends in .png"),
        (("--data", "DATA", "--split", "dev"), "train, val or test"),
        (("--data", "DATA", "--landmark", "hart"), "none of the 34"),
        (("--data", "DATA", "--landmark", "cardiac siluette"), "did you mean 'cardiac silhouette'"),
    ],
)
def test_wrong_usage_is_one_line(words, said, model, data, pictures, tmp_path, one_line):
    report = tmp_path / "report.txt"
    report.write_text("Clear.")
    known = {"IMAGE": pictures[0][0], "DATA": str(data), "REPORT": str(report)}
    line = one_line(2, "explain", "reconstruct", str(model), *(known.get(w, w) for w in words))
    assert said in line


def test_a_study_without_words_on_the_landmark_is_one_line(model, data, one_line):
    first = PreparedDataset.open(data).ids("train")[0]
    words = ("--data", str(data), "--id", first, "--landmark", "svc", "--out", "a.png")
    assert "no word on the svc" in one_line(1, "explain", "reconstruct", str(model), *words)


def test_masked_words_are_counted_with_and_without_the_image(
    make_model, data, tmp_path, kia_command
):
    model, file = make_model(tmp_path / "model", positions=160), tmp_path / "words.json"
    code, out, err = kia_command(
        *("explain", "words", str(model), "--data", str(data), "--split", "train"),
        *("--json", str(file)),
    )
    assert code == 0, err
    assert "own image − another's" in out and "anatomy words" in out
    found = json.loads(file.read_text())["words"]
    labels = [study.labels for study in PreparedDataset.open(data).studies("train")]
    present = sum(list(one.values()).count(1) for one in labels)
    assert found["present"]["words"] == present
    assert found["present"]["words"] + found["absent"]["words"] == 14 * len(labels)
    for one in found.values():
        assert set(one["accuracy"]) == {"image", "another", "none", "most_frequent_word"}


def test_words_of_a_wrong_split_is_one_line(model, data, one_line):
    words = ("explain", "words", str(model), "--data", str(data), "--split", "dev")
    assert "train, val or test" in one_line(2, *words)
