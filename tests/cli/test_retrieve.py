"""`kia retrieve` as a user meets it."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kia" / "retrieval"


def test_a_split_is_scored_both_ways_beside_chance(model, data, tmp_path, kia_command, cache):
    file = tmp_path / "new" / "scores.json"
    words = ("retrieve", str(model), "--data", str(data), "--split", "train")
    code, out, err = kia_command(*words, "--json", str(file))
    assert code == 0, err
    assert "at random" in out and "then [MATCH]" in out and "clinical precision@5" in out
    assert "embeddings" in err
    dataset = PreparedDataset.open(data)
    found = json.loads(file.read_text())
    assert found["studies"] == len(dataset.indices("train"))
    assert found["data"] == dataset.info["content_hash"]
    for direction in ("image_to_report", "report_to_image"):
        for stage in ("similarity", "match"):
            scores = found[direction][stage]
            assert scores["recall_1"] <= scores["recall_5"] <= scores["recall_10"]
            low, high = scores["intervals"]["mean_rank"]
            assert 1 <= low <= scores["mean_rank"] <= high <= found["studies"]
    (folder,) = cache.iterdir()
    before = (folder / "images.npy").stat().st_mtime_ns
    code, again, err = kia_command(*words)
    assert (code, again) == (0, out) and "embeddings" not in err
    assert (folder / "images.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_query_shows_studies_in_the_order_of_match(
    kind, model, data, pictures, tmp_path, kia_command
):
    picture, numbers = tmp_path / "new" / "found.png", tmp_path / "n.json"
    query = ["--text", "The heart is enlarged."]
    if kind == "image":
        query = [word for file in pictures[0] for word in ("--image", file)]
    code, out, err = kia_command(
        *("retrieve", str(model), "--data", str(data), "--split", "train", "--top", "3"),
        *("--out", str(picture), "--json", str(numbers), "--index", str(tmp_path / "index")),
        *query,
    )
    assert code == 0, err
    assert (tmp_path / "index" / "index.json").is_file()
    found = json.loads(numbers.read_text())
    reports = {study.id: study.report for study in PreparedDataset.open(data).studies("train")}
    assert len(found) == 3 and all(reports[one["id"]] == one["report"] for one in found)
    degrees = [one["match"] for one in found]
    assert degrees == sorted(degrees, reverse=True) and all(0 <= d <= 1 for d in degrees)
    assert found[0]["id"] in out
    drawn = np.asarray(Image.open(picture).convert("L"))
    assert drawn.shape[1] > 1000 and drawn.shape[0] > 800 and drawn.std() > 10  # not blank


def without(task, model, folder):
    shutil.copytree(model, folder)
    settings = json.loads((folder / "config.json").read_text())
    settings["tasks"].remove(task)
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_a_model_without_match_orders_by_similarity_and_says_so(model, data, tmp_path, kia_command):
    lacking = without("irm", model, tmp_path / "no-match")
    code, out, err = kia_command("retrieve", str(lacking), "--data", str(data), "--text", "clear")
    assert code == 0 and "warning: the model was trained without [MATCH]" in err
    assert "–" in out  # no matching degree


def test_a_model_without_contrast_is_refused(model, data, tmp_path, one_line):
    lacking = without("irc", model, tmp_path / "no-contrast")
    assert "image-report contrast" in one_line(1, "retrieve", str(lacking), "--data", str(data))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--image", "a.png", "--text", "clear"), "one query"),
        (("--text", "  "), "--text is empty"),
        (("--split", "dev"), "train, val or test"),
        (("--text", "clear", "--among", "labels"), "images or reports"),
        (("--out", "a.png"), "go with a query"),
        (("--text", "clear", "--out", "a.jpg"), "ends in .png"),
    ],
)
def test_wrong_usage_is_one_line(words, said, model, data, one_line):
    assert said in one_line(2, "retrieve", str(model), "--data", str(data), *words)
