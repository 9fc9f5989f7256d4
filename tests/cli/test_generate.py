"""`kia generate` as a user meets it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.data.store import PreparedDataset


def read(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def listing(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("beams", ["1", "3"])
def test_files_get_the_reports_of_the_data_set(beams, model, data, pictures, tmp_path, kia_command):
    predictions, answer = tmp_path / "new" / "predictions.jsonl", tmp_path / "reports.json"
    code, out, err = kia_command(
        *("generate", str(model), "--data", str(data), "--split", "test", "--beams", beams),
        *("--out", str(predictions)),
    )
    assert code == 0 and f"{len(pictures)} reports" in out
    assert "Loading" not in err and "arning" not in err
    studies = [word for files in pictures for word in ("--study", ",".join(files))]
    code, out, _ = kia_command(
        "generate", str(model), *studies, "--beams", beams, "--json", str(answer)
    )
    assert code == 0
    expected, found = read(predictions), json.loads(answer.read_text())
    assert [entry["id"] for entry in expected] == PreparedDataset.open(data).ids("test")
    assert [entry["report"] for entry in found] == [entry["report"] for entry in expected]
    assert [entry["images"] for entry in found] == pictures
    assert len({entry["report"] for entry in found}) > 1
    assert all(entry["report"] in out for entry in found)


def test_a_data_set_leaves_predictions_and_embeddings_and_nothing_else(
    model, data, tmp_path, kia_command
):
    out = tmp_path / "predictions.jsonl"
    assert kia_command("generate", str(model), "--data", str(data), "--out", str(out))[0] == 0
    assert listing(tmp_path) == {
        *("predictions.jsonl", "predictions.embeddings.npy", "train-embeddings.npy")
    }
    assert len(np.load(tmp_path / "predictions.embeddings.npy")) == len(read(out))
    dataset = PreparedDataset.open(data)
    assert len(np.load(tmp_path / "train-embeddings.npy")) == len(dataset.indices("train"))


def test_one_image_prints_its_report_alone(model, pictures, kia_command):
    code, out, _ = kia_command("generate", str(model), pictures[0][0])
    assert code == 0 and len(out.strip().splitlines()) == 1


def test_options_override_the_decoding_of_the_model(model, pictures, kia_command):
    longer = kia_command("generate", str(model), pictures[0][0], "--max-tokens", "20")[1]
    shorter = kia_command("generate", str(model), pictures[0][0], "--max-tokens", "3")[1]
    assert 0 < len(shorter.strip()) < len(longer.strip())
    assert longer.startswith(shorter.strip())  # greedy: the same words, cut


@pytest.mark.parametrize("kind", ["missing", "text", "cut", "folder"])
def test_an_image_that_cannot_be_read_is_one_line(kind, model, pictures, tmp_path, one_line):
    bad = tmp_path / "bad.png"
    if kind == "text":
        bad.write_text("no image")
    elif kind == "cut":
        bad.write_bytes(Path(pictures[0][0]).read_bytes()[:200])
    elif kind == "folder":
        bad.mkdir()
    answer = tmp_path / "reports.json"
    line = one_line(1, "generate", str(model), pictures[0][0], str(bad), "--json", str(answer))
    assert "bad.png" in line
    assert not answer.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name images"),
        (("IMAGE", "--data", "DATA", "--out", "OUT"), "not both"),
        (("--data", "DATA"), "--data needs --out"),
        (("IMAGE", "--out", "OUT"), "--json"),
        (("--data", "DATA", "--out", "OUT", "--json", "OUT"), "--json goes with images"),
        (("--data", "DATA", "--out", "OUT", "--split", "dev"), "train, val or test"),
        (("IMAGE", "--beams", "0"), "beams"),
    ],
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    words, said, model, data, pictures, tmp_path, one_line
):
    out = tmp_path / "new" / "out.jsonl"
    known = {"IMAGE": pictures[0][0], "DATA": str(data), "OUT": str(out)}
    assert said in one_line(2, "generate", str(model), *(known.get(word, word) for word in words))
    assert not out.parent.exists()


def test_data_of_another_size_are_refused(model, tmp_path, make_phantoms, one_line):
    other = make_phantoms(tmp_path / "other", 12, size=32)
    out = tmp_path / "new" / "out.jsonl"
    line = one_line(1, "generate", str(model), "--data", str(other), "--out", str(out))
    assert "--size 64" in line
    assert not out.parent.exists()


def test_data_that_are_none_are_refused(model, tmp_path, one_line):
    out = tmp_path / "new" / "out.jsonl"
    line = one_line(1, "generate", str(model), "--data", str(tmp_path), "--out", str(out))
    assert "dataset.json" in line
    assert not out.parent.exists()


def test_a_model_that_is_none_is_refused(tmp_path, pictures, one_line):
    assert "no model" in one_line(1, "generate", str(tmp_path), pictures[0][0])
    assert "no model" in one_line(1, "generate", "absent", pictures[0][0])


def test_a_model_with_the_tokenizer_of_another_run_is_refused(model, tmp_path, pictures, one_line):
    from kia.processing import train_tokenizer

    mixed = shutil.copytree(model, tmp_path / "mixed")
    train_tokenizer(["the heart is large"] * 3, 90).save_pretrained(mixed)
    assert "different runs" in one_line(1, "generate", str(mixed), pictures[0][0])


def test_a_full_disk_leaves_the_predictions_before(
    model, data, tmp_path, one_line, monkeypatch, kia_command
):
    out = tmp_path / "predictions.jsonl"
    words = ("generate", str(model), "--data", str(data), "--out", str(out))
    assert kia_command(*words)[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(file, rows, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        assert "no space left" in one_line(1, *words, "--max-tokens", "2")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_picture_of_another_shape_and_depth_is_read(model, tmp_path, kia_command):
    picture = tmp_path / "wide.png"
    Image.fromarray(np.arange(90 * 130).reshape(90, 130).astype(np.uint16) * 5).save(picture)
    assert kia_command("generate", str(model), str(picture))[0] == 0
