"""`kia knowledge atlas` and `kia explain patches` as their user meets them."""

import json

import numpy as np
import pytest
from PIL import Image

from kia.knowledge.atlas.places import LANDMARKS, Atlas, shipped_atlas

HEAD = "landmark,x1,y1,x2,y2\n"


def test_an_atlas_of_boxes_moves_the_key_patches(kia_command, tmp_path):
    boxes = tmp_path / "boxes.csv"
    # the carina in the lower right patch and its neighbours, in two images
    boxes.write_text(HEAD + "carina,0.9,0.9,1,1\nCarina ,0.93,0.93,1,1\n")
    file, listing = tmp_path / "new" / "mine.npz", tmp_path / "key.json"
    code, printed, _ = kia_command(
        *("knowledge", "atlas", "--boxes", str(boxes), "--out", str(file)),
        *("--json", str(listing)),
    )
    assert code == 0
    assert "no boxes, so as in kia's own atlas: right lung" in printed
    mine = Atlas.read(file)
    assert mine.images[LANDMARKS.index("carina")] == 2 and mine.images.sum() == 2
    key = mine.key_patches("carina").tolist()
    assert key[0] == 195 and len(key) == 20
    assert json.loads(listing.read_text())["carina"] == key
    lung = mine.key_patches("right lung").tolist()
    assert lung == shipped_atlas().key_patches("right lung").tolist()


def test_scene_graphs_of_chest_imagenome_make_an_atlas(kia_command, tmp_path):
    scenes = tmp_path / "scene_graph"
    scenes.mkdir()
    corners = {"x1": 0, "y1": 0, "x2": 16, "y2": 16}
    for number in range(3):
        objects = [{"bbox_name": name, **corners} for name in LANDMARKS]
        (scenes / f"{number}_SceneGraph.json").write_text(json.dumps({"objects": objects}))
    file = tmp_path / "a.npz"
    code, printed, _ = kia_command("knowledge", "atlas", "--boxes", str(scenes), "--out", str(file))
    assert code == 0 and "no boxes" not in printed
    made = Atlas.read(file)
    assert made.images.tolist() == [3] * 34
    assert all(made.coverage_on(name, 14)[0, 0] == 1 for name in LANDMARKS)
    assert all(made.coverage_on(name, 14).sum() == pytest.approx(1) for name in LANDMARKS)


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--out", "a.npz"), 2, "give either --boxes or --contours"),
        (("--boxes", "b.csv", "--contours", "c.json", "--out", "a.npz"), 2, "give either"),
        (("--boxes", "b.csv", "--out", "a.npy"), 2, "a.npy: an atlas is a .npz file"),
        (("--boxes", "b.csv", "--out", "a.npz"), 1, "b.csv: no such file"),
        (("--boxes", "b.txt", "--out", "a.npz"), 1, "b.txt: no such file"),
        (("--boxes", "empty.csv", "--out", "a.npz"), 1, "empty.csv: has no row below"),
        (("--boxes", "folder", "--out", "a.npz"), 1, "folder: no scene graph"),
        (("--contours", "empty.csv", "--out", "a.npz"), 1, "empty.csv: not JSON"),
    ],
)
def test_what_cannot_be_an_atlas_is_one_line(
    kia_command, tmp_path, monkeypatch, words, code, problem
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text(HEAD)
    (tmp_path / "folder").mkdir()
    got, _, errors = kia_command("knowledge", "atlas", *words)
    assert got == code
    assert errors.splitlines()[-1].startswith(f"error: {problem}")
    assert not (tmp_path / "a.npz").exists()


def test_figure_8_of_a_phantom_and_of_an_image(kia_command, tmp_path):
    pytest.importorskip("matplotlib")
    image = tmp_path / "chest.png"
    Image.fromarray(np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)).save(image)
    for number, words in enumerate(((), ("--image", str(image), "--grid", "7"))):
        file = tmp_path / "figures" / f"{number}.png"
        code, printed, _ = kia_command("explain", "patches", "--out", str(file), *words)
        assert code == 0 and printed.strip() == f"wrote {file}"
        assert min(Image.open(file).size) > 1000


def test_masked_versions_are_by_the_landmarks_of_the_report(kia_command, tmp_path):
    pytest.importorskip("matplotlib")
    image, report, masked = tmp_path / "chest.png", tmp_path / "r.txt", tmp_path / "new" / "m.png"
    Image.fromarray(np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)).save(image)
    report.write_text("The right lung is clear. The trachea is midline.")
    words = ("--image", str(image), "--report", str(report), "--masked", str(masked))
    code, printed, _ = kia_command("explain", "patches", "--out", str(tmp_path / "8.png"), *words)
    assert code == 0 and printed.splitlines()[1] == f"wrote {masked}: right lung, trachea"
    assert min(Image.open(masked).size) > 500
    words = ("--out", str(tmp_path / "8.png"), "--masked", str(masked))  # a phantom has its own
    code, printed, _ = kia_command("explain", "patches", *words)
    assert code == 0 and "no landmark" not in printed


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--out", "8.pdf"), 2, "8.pdf: the picture is a PNG"),
        (("--out", "8.png", "--image", "a.png", "--masked", "m.png"), 2, "--masked: give the"),
        (("--out", "8.png", "--report", "r.txt"), 2, "--report goes with --image and --masked"),
        (("--out", "8.png", "--masked", "m.jpg"), 2, "--masked m.jpg: the picture is a PNG"),
        (("--out", "8.png", "--image", "no.png"), 1, "no.png: "),
        (("--out", "8.png", "--atlas", "no.npz"), 1, "no.npz: No such file"),
    ],
)
def test_figure_8_fails_in_one_line(kia_command, tmp_path, monkeypatch, words, code, problem):
    monkeypatch.chdir(tmp_path)
    got, _, errors = kia_command("explain", "patches", *words)
    assert got == code
    assert errors.splitlines()[-1].startswith(f"error: {problem}")
