"""`kia findings` and `kia explain attention` as a user meets them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset
from kia.explain.attention.weights import label_attention
from kia.generation import dataset_inputs, load_model
from kia.knowledge.chexpert import OBSERVATIONS
from kia.processing import KIAProcessor


def test_images_get_the_findings_of_the_data_set(model, data, pictures, tmp_path, kia_command):
    names = ("new/f.csv", "s.json", "a.json", "new/p.png")
    table, scores, answer, plot = (tmp_path / name for name in names)
    code, out, err = kia_command(
        *("findings", str(model), "--data", str(data), "--split", "test"),
        *("--out", str(table), "--json", str(scores), "--plot", str(plot)),
    )
    assert code == 0, err
    assert "calibration error" in out and "wrote" in out
    assert np.asarray(Image.open(plot).convert("L")).std() > 10  # not blank
    dataset = PreparedDataset.open(data)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == dataset.ids("test")
    studies = [word for files in pictures for word in ("--study", ",".join(files))]
    code, out, _ = kia_command("findings", str(model), *studies, "--json", str(answer))
    assert code == 0 and "Cardiomegaly" in out
    found = json.loads(answer.read_text())
    assert [entry["images"] for entry in found] == pictures
    for row, entry in zip(rows, found, strict=True):
        assert list(entry["findings"]) == list(OBSERVATIONS)
        for name in OBSERVATIONS:
            assert float(row[name]) == pytest.approx(entry["findings"][name], abs=1e-4)
    loaded, processor = load_model(model)
    direct = label_attention(
        loaded, processor, dataset_inputs(dataset, processor, dataset.indices("test"))
    )
    expected = [[entry["findings"][name] for name in OBSERVATIONS] for entry in found]
    np.testing.assert_allclose(direct.present, expected, rtol=1e-4)
    counts = json.loads(scores.read_text())["observations"]["Edema"]
    labels = [dataset.study(int(i)).labels["Edema"] for i in dataset.indices("test")]
    assert counts["present"] == labels.count(1) and counts["studies"] == len(labels)


@pytest.fixture(scope="module")
def model(make_model, tmp_path_factory):
    """With room for the label report."""
    return make_model(tmp_path_factory.mktemp("findings") / "model", positions=160)


def test_a_model_that_cannot_hold_the_label_report_is_refused(
    make_model, pictures, tmp_path, one_line
):
    short = make_model(tmp_path / "short")
    assert "max_positions" in one_line(1, "findings", str(short), pictures[0][0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name images"),
        (("IMAGE", "--data", "DATA"), "not both"),
        (("IMAGE", "--out", "OUT"), "go with --data"),
        (("--data", "DATA", "--split", "dev"), "train, val or test"),
        (("--data", "DATA", "--plot", "a.jpg"), "--plot a.jpg: the picture is a PNG"),
    ],
)
def test_wrong_usage_of_findings_is_one_line(words, said, model, data, pictures, one_line):
    known = {"IMAGE": pictures[0][0], "DATA": str(data), "OUT": "out.csv"}
    assert said in one_line(2, "findings", str(model), *(known.get(word, word) for word in words))


@pytest.mark.parametrize(
    ("options", "panels", "cells"),
    [
        ((), 15, 16),  # 64 pixels, patches of 16
        (("--observation", "edema"), 2, 16),
        (("--report", "REPORT"), 3, 16),
        (("--observation", "edema", "--map", "gradient"), 2, 1024),  # cells of 2 pixels
        (("--report", "REPORT", "--map", "gradient", "--data", "DATA"), 3, 1024),
    ],
)
def test_maps_are_drawn_for_masks_and_for_sentences(
    options, panels, cells, model, data, pictures, tmp_path, kia_command
):
    picture, numbers = tmp_path / "new" / "a.png", tmp_path / "a.json"
    report = tmp_path / "report.txt"
    report.write_text("The heart is large. No effusion.")
    words = [{"REPORT": str(report), "DATA": str(data)}.get(word, word) for word in options]
    kind = "gradient" if "gradient" in options else "attention"
    code, _, err = kia_command(
        *("explain", "attention", str(model), *pictures[0], "--out", str(picture)),
        *("--json", str(numbers), *words),
    )
    assert code == 0, err
    found = json.loads(numbers.read_text())
    assert len(found) == panels - 1  # the views alone come first
    for one in found:
        assert np.array(one[kind]).shape == (2, cells)
        assert np.sum(one[kind]) == pytest.approx(1, abs=1e-4)
    drawn = np.asarray(Image.open(picture).convert("L"))
    assert drawn.shape[1] > 300 and drawn.std() > 10  # not blank


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--out", "a.jpg"), "ends in .png"),
        (("--out", "a.png", "--observation", "cardiomegly"), "did you mean 'cardiomegaly'"),
        (("--out", "a.png", "--report", "absent.txt"), "no such file"),
        (("--out", "a.png", "--report", "generated", "--observation", "edema"), "with [MASK]"),
        (("--out", "a.png", "--map", "saliency"), "use attention or gradient"),
        (("--out", "a.png", "--data", "data"), "goes with --map gradient"),
    ],
)
def test_wrong_usage_of_attention_is_one_line(
    words, said, model, pictures, tmp_path, one_line, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert said in one_line(2, "explain", "attention", str(model), pictures[0][0], *words)
    assert not (tmp_path / "a.png").exists()


def test_a_folder_a_pattern_and_a_list_name_the_same_images(
    model, pictures, tmp_path, kia_command, monkeypatch, one_line
):
    import io
    import shutil

    folder = tmp_path / "folder"
    folder.mkdir()
    for number in (0, 1):
        shutil.copy(pictures[number][0], folder / f"{number}.png")
    (folder / "notes.txt").write_text("no image")
    names = [str(folder / f"{number}.png") for number in (0, 1)]
    answer = tmp_path / "a.json"
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(names) + "\n"))
    for word in (str(folder), str(folder / "*.png"), "-"):
        assert kia_command("findings", str(model), word, "--json", str(answer))[0] == 0
        assert [entry["images"] for entry in json.loads(answer.read_text())] == [[n] for n in names]
    (tmp_path / "empty").mkdir()
    assert "no image in this folder" in one_line(1, "generate", str(model), str(tmp_path / "empty"))
    assert "no image in this pattern" in one_line(1, "generate", str(model), str(folder / "*.gif"))


def test_without_labels_the_probabilities_stand_unscored(model, pictures, tmp_path, kia_command):
    """Reports in another language have no labels."""
    rows = [
        f"{n},{files[0]},Kein Erguss und keine Infiltrate beidseits.,{split}"
        for n, (files, split) in enumerate(zip(pictures, ("train", "val"), strict=False))
    ]
    (tmp_path / "m.csv").write_text("id,image,report,split\n" + "\n".join(rows) + "\n")
    data, table, scores = (tmp_path / name for name in ("data", "f.csv", "s.json"))
    size = str(KIAProcessor.from_pretrained(model).image_size)
    code, _, err = kia_command(
        *("data", "manifest", str(tmp_path / "m.csv"), "--out", str(data), "--size", size)
    )
    assert code == 0, err
    code, _, err = kia_command(
        *("findings", str(model), "--data", str(data), "--split", "val"),
        *("--out", str(table), "--json", str(scores), "--plot", str(tmp_path / "p.png")),
    )
    assert code == 0, err
    assert f"no val study of {data} has labels" in " ".join(err.split())
    assert len(table.read_text().splitlines()) == 2
    assert json.loads(scores.read_text())["observations"]["Edema"]["studies"] == 0
