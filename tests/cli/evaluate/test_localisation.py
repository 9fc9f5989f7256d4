"""`kia evaluate --localisation` as a user meets it."""

import json

import pytest

from kia.data.store.dataset import PreparedDataset
from kia.explain.localisation.measure import phantom_findings


@pytest.fixture(scope="module")
def model(make_model, tmp_path_factory):
    """With room for the label report."""
    return make_model(tmp_path_factory.mktemp("localisation") / "model", positions=160)


@pytest.fixture(scope="module")
def phantoms(make_phantoms, tmp_path_factory):
    return make_phantoms(tmp_path_factory.mktemp("localisation") / "data", 60)


def test_phantoms_are_scored_beside_what_needs_no_model(model, phantoms, tmp_path, kia_command):
    file = tmp_path / "new" / "l.json"
    words = ("evaluate", str(model), "--localisation", "phantom", "--data", str(phantoms))
    code, out, err = kia_command(*words, "--split", "train", "--json", str(file))
    assert code == 0, err
    assert "pointing game, 48 images" in out and "against the atlas" in out
    found = json.loads(file.read_text())
    dataset = PreparedDataset.open(phantoms)
    drawn = phantom_findings(dataset, dataset.indices("train"))
    assert found["findings"] == len(drawn) > 20
    assert found["dataset"]["hash"] == dataset.info["content_hash"]
    scores = {name: one["mean"]["pointing"] for name, one in found["systems"].items()}
    assert list(scores) == [
        *("attention", "gradient", "random", "average place", "atlas", "best possible")
    ]
    assert scores["random"] < scores["atlas"] < scores["best possible"]
    for name in ("attention", "gradient"):
        gain = found["above_atlas"][name]
        assert gain["pointing"] == pytest.approx(scores[name] - scores["atlas"])
        assert gain["low"] <= gain["pointing"] <= gain["high"]
    assert found["systems"]["random"]["mean"]["lift"] == pytest.approx(1)


def test_boxes_of_any_images_are_scored(model, data, pictures, tmp_path, kia_command):
    table, file = tmp_path / "boxes.csv", tmp_path / "l.json"
    rows = [f"{views[0]},Cardiomegaly,16,32,32,24" for views in pictures]
    table.write_text("\n".join(["image,observation,x,y,w,h", *rows]))
    words = ("evaluate", str(model), "--localisation", str(table), "--json", str(file))
    code, _, err = kia_command(*words, "--data", str(data))
    assert code == 0, err
    found = json.loads(file.read_text())
    assert (found["images"], found["findings"]) == (len(pictures), len(pictures))
    # 32 × 24 of 64 × 64 pixels
    assert found["systems"]["random"]["mean"]["inside"] == pytest.approx(32 * 24 / 64**2)
    assert found["systems"]["average place"]["mean"]["pointing"] == 1  # all boxes are the same


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("phantom",), 2, "name the phantoms with --data"),
        (("phantom", "--data", "DATA", "--html", "a.html"), 2, "takes one model"),
        (("phantom", "--data", "DATA", "--split", "dev"), 2, "no split 'dev'"),
        (("absent.csv",), 1, "absent.csv: no such file"),
    ],
)
def test_wrong_usage_is_one_line(words, code, said, model, data, one_line):
    words = [str(data) if word == "DATA" else word for word in words]
    assert said in one_line(code, "evaluate", str(model), "--localisation", *words)
