"""`kia generate` as a user meets it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset
from kia.readable import NOTICE


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
    code, out, err = kia_command(
        "generate", str(model), *studies, "--beams", beams, "--json", str(answer)
    )
    assert code == 0
    assert err.count("Not for clinical use") == 1
    expected, found = read(predictions), json.loads(answer.read_text())
    assert [entry["id"] for entry in expected] == PreparedDataset.open(data).ids("test")
    assert [entry["raw"] for entry in found] == [entry["report"] for entry in expected]
    assert [entry["images"] for entry in found] == pictures
    assert [entry["views"] for entry in found] == [["frontal", "lateral"]] * len(pictures)
    assert len({entry["raw"] for entry in found}) > 1
    assert all(entry["report"] in out for entry in found)
    assert {entry["notice"] for entry in found} == {NOTICE}


def test_a_data_set_leaves_predictions_and_embeddings_and_nothing_else(
    model, data, tmp_path, kia_command
):
    out = tmp_path / "predictions.jsonl"
    assert kia_command("generate", str(model), "--data", str(data), "--out", str(out))[0] == 0
    assert listing(tmp_path) == {
        *("predictions.jsonl", "predictions.embeddings.npy", "train-embeddings.npy"),
        "predictions.jsonl.run.json",
    }
    assert len(np.load(tmp_path / "predictions.embeddings.npy")) == len(read(out))
    dataset = PreparedDataset.open(data)
    assert len(np.load(tmp_path / "train-embeddings.npy")) == len(dataset.indices("train"))


def test_one_image_prints_its_report_alone(model, pictures, kia_command):
    code, out, _ = kia_command("generate", str(model), pictures[0][0])
    assert code == 0 and len(out.strip().splitlines()) == 1


@pytest.fixture
def entries(model, tmp_path, kia_command):
    """Runs `kia generate --jsonl` and gives its lines as objects."""

    def run(*words: str) -> list[dict]:
        lines = tmp_path / "new" / "reports.jsonl"
        code, out, err = kia_command("generate", str(model), *words, "--jsonl", str(lines))
        assert (code, out) == (0, ""), err
        return read(lines)

    return run


def test_options_override_the_decoding_of_the_model(entries, pictures):
    image = pictures[0][0]
    longer = entries(image, "--max-tokens", "20")[0]["raw"]
    shorter = entries(image, "--max-tokens", "3")[0]["raw"]
    assert 0 < len(shorter) < len(longer)
    assert longer.startswith(shorter)  # greedy: the same words, cut
    words = entries(image, "--max-tokens", "20", "--no-repeat-ngram", "1")[0]["raw"].split()
    assert len(words) == len(set(words))
    assert entries(image, "--max-tokens", "20", "--repetition-penalty", "9")[0]["raw"] != longer


def test_defaults_are_those_of_the_model_folder(model, tmp_path, pictures, kia_command):
    other = shutil.copytree(model, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    assert config["generation_defaults"]["beams"] == 1
    config["generation_defaults"] |= {"max_tokens": 3, "candidates": 4, "rerank": "likelihood"}
    (other / "config.json").write_text(json.dumps(config))
    code, out, _ = kia_command("generate", str(other), pictures[0][0], "--jsonl", "-")
    found = json.loads(out)
    assert code == 0 and 1 < len(found["candidates"]) <= 4
    config["generation_defaults"]["beams"] = 0
    (other / "config.json").write_text(json.dumps(config))
    code, _, err = kia_command("generate", str(other), pictures[0][0])
    assert code == 1 and "config.json: generation_defaults.beams" in err


def test_every_way_of_batching_gives_the_same_report(entries, pictures):
    """Studies with one view and with two are decoded together."""
    mixed = [pictures[0][0], "--study", ",".join(pictures[1]), "--study", pictures[1][1]]
    together = entries(*mixed, "--candidates", "3", "--rerank", "match")
    alone = entries(*mixed, "--candidates", "3", "--rerank", "match", "--batch-size", "1")
    assert len(together) == 3
    for one, other in zip(together, alone, strict=True):
        assert one["raw"] == other["raw"] and one["images"] == other["images"]
        assert [c["raw"] for c in one["candidates"]] == [c["raw"] for c in other["candidates"]]
        assert one["match"] == pytest.approx(other["match"], rel=1e-4)
        assert len(one["sentences"][0]["attention"]) == len(one["images"])


def test_lines_of_studies_that_cannot_be_read_say_so(model, pictures, tmp_path, kia_command):
    (tmp_path / "bad.png").write_text("no image")
    words = (pictures[0][0], str(tmp_path / "bad.png"), pictures[1][0])
    code, out, err = kia_command("generate", str(model), *words, "--jsonl", "-")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 1 and "1 of 3 studies could not be read" in err
    assert [entry["images"] for entry in found] == [[word] for word in words]
    assert "bad.png" in found[1]["error"] and found[2]["report"]


def test_a_file_that_kills_its_decoder_does_not_kill_the_command(
    model, stub_decoder, tmp_path, monkeypatch, one_line
):
    monkeypatch.chdir(tmp_path)
    Path("hang").write_bytes(b"an image")
    assert "error: hang: takes too long to decode" in one_line(1, "generate", str(model), "hang")


def test_dicom_files_of_a_folder_are_grouped_by_study(entries, tmp_path):
    folder = tmp_path / "pacs"
    folder.mkdir()
    files = [("a", "1.2.3", "LL"), ("b", "1.2.3", "PA"), ("c", "1.2.4", ""), ("d", "1.2.5", "LAT")]
    for seed, (name, study, view) in enumerate(files):
        (folder / f"{name}.dcm").write_bytes(dicom(seed, study, view))
    found = entries(str(folder))
    assert [[Path(i).stem for i in one["images"]] for one in found] == [["b", "a"], ["c"], ["d"]]
    assert [one["views"] for one in found] == [["frontal", "lateral"], ["frontal"], ["lateral"]]


def test_of_more_than_two_images_of_a_study_a_frontal_and_a_lateral_one_are_read(
    model, tmp_path, kia_command
):
    for seed, (name, view) in enumerate([("a", "AP"), ("b", "PA"), ("c", "LL")]):
        (tmp_path / f"{name}.dcm").write_bytes(dicom(seed, "1.2.3", view))
    code, out, _ = kia_command("generate", str(model), str(tmp_path), "--jsonl", "-")
    found = json.loads(out)
    assert code == 0 and [Path(image).stem for image in found["images"]] == ["a", "c"]
    (flag,) = [flag for flag in found["flags"] if flag["kind"] == "left out"]
    assert "b.dcm" in flag["message"] and "a study with 3 images" in flag["message"]


def dicom(seed: int, study: str, view: str) -> bytes:
    """A radiograph with random pixels."""
    import io

    import pydicom
    from pydicom.dataset import FileMetaDataset

    data = pydicom.Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.StudyInstanceUID, data.ViewPosition, data.Modality = study, view, "DX"
    data.Rows = data.Columns = 70
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    pixels = np.random.default_rng(seed).integers(0, 255, (70, 70), np.uint8)
    data.PixelData = pixels.tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_evidence_and_candidates_are_shown(make_model, tmp_path, pictures, kia_command):
    roomy = make_model(tmp_path / "roomy", positions=160)  # for the label report
    words = ("--evidence", "--candidates", "3", "--rerank", "match", "--device", "cpu")
    shown = (*words, "--show-candidates")
    code, out, _ = kia_command("generate", str(roomy), ",".join(pictures[0]), *words)
    assert code == 1  # one file name
    study = ("--study", ",".join(pictures[0]))
    code, out, err = kia_command("generate", str(roomy), *study, *shown)
    assert code == 0, err
    for said in (
        "probability",
        "frontal",
        "lateral",
        "matching degree",
        "score",
        "log probability",
    ):
        assert said in out
    assert "log probability" not in kia_command("generate", str(roomy), *study, *words)[1]


def test_the_structured_form_has_a_line_an_organ(model, pictures, kia_command):
    code, out, _ = kia_command("generate", str(model), pictures[0][0], "--form", "structured")
    heads = [line.partition(":")[0] for line in out.strip().splitlines()]
    assert code == 0
    assert heads == ["Lungs", "Pleura", "Heart and mediastinum", "Bones", "Devices", "Other"]


def test_what_is_no_chest_x_ray_gets_no_report_unless_asked(
    model, pictures, entries, kia_command, tmp_path
):
    grey = tmp_path / "grey.png"
    Image.new("L", (80, 80), 90).save(grey)
    shutil.copytree(model, tmp_path / "model")
    reference_of_noise(tmp_path / "model")
    code, out, err = kia_command("generate", str(tmp_path / "model"), str(grey))
    assert code == 0 and out == "No report: this is probably no chest X-ray.\n"
    assert "almost one grey value" in err and "--anyway" in err
    answer = tmp_path / "a.json"
    command = ("generate", str(tmp_path / "model"), str(grey), "--json", str(answer))
    kia_command(*command)
    (declined,) = json.loads(answer.read_text())
    assert declined["report"] is declined["raw"] is declined["structured"] is None
    assert [flag["kind"] for flag in declined["flags"]] == ["empty"]
    assert len(declined["not_assessed"]) == 14 and declined["sentences"] == []
    kia_command(*command, "--anyway")
    (written,) = json.loads(answer.read_text())
    assert written["report"] and written["not_assessed"] == []


def reference_of_noise(folder: Path) -> None:
    """Gives a model folder something that it was trained on."""
    from kia.imaging.plausibility import Reference

    noise = np.random.default_rng(0).integers(0, 255, (200, 16, 16), np.uint8)
    reference = Reference.learn({"frontal": noise})
    assert reference
    reference.save(folder)


@pytest.mark.parametrize(
    ("words", "same"), [((), True), (("--candidates", "4", "--rerank", "match"), False)]
)
def test_predictions_are_those_that_rerank_chooses(
    words, same, model, data, pictures, tmp_path, kia_command, entries
):
    out = tmp_path / "p.jsonl"
    assert (
        kia_command("generate", str(model), "--data", str(data), "--out", str(out), *words)[0] == 0
    )
    studies = [word for files in pictures for word in ("--study", ",".join(files))]
    chosen = [entry["raw"] for entry in entries(*studies, *words)]
    assert [entry["report"] for entry in read(out)] == chosen
    assert (chosen == [entry["raw"] for entry in entries(*studies)]) is same


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
        (("--data", "DATA", "--out", "OUT", "--json", "OUT"), "--json and --jsonl go with images"),
        (("--data", "DATA", "--out", "OUT", "--split", "dev"), "train, val or test"),
        (("IMAGE", "--beams", "0"), "beams"),
        (("IMAGE", "--rerank", "match"), "add --candidates"),
        (("IMAGE", "--rerank", "labels", "--candidates", "3"), "did not count them"),
        (("IMAGE", "--rerank", "best", "--candidates", "3"), "use none, match, labels, likelihood"),
        (("IMAGE", "--json", "OUT", "--jsonl", "OUT"), "use one of them"),
        (("IMAGE", "--jsonl", "OUT", "--evidence"), "--evidence goes with"),
        (("IMAGE", "--device", "abacus"), "--device abacus: cannot be used"),
        (("IMAGE", "--form", "table"), "--form table: use prose or structured"),
        (("IMAGE", "--form", "structured", "--jsonl", "OUT"), "--form goes with the text"),
        (("IMAGE", "--show-candidates", "--jsonl", "OUT"), "--show-candidates goes with the text"),
        (("--data", "DATA", "--out", "OUT", "--anyway"), "--anyway goes with images"),
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
    train_tokenizer(["the heart is large"] * 3, 90).save(str(mixed / "tokenizer.json"))
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
    there = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert there == before
    assert kia_command(*words, "--max-tokens", "2", "--resume")[0] == 0
    assert out.read_bytes() != before[out] and not list(tmp_path.glob("*.part"))


def test_a_picture_of_another_shape_and_depth_is_read(model, tmp_path, kia_command):
    picture = tmp_path / "wide.png"
    Image.fromarray(np.arange(90 * 130).reshape(90, 130).astype(np.uint16) * 5).save(picture)
    assert kia_command("generate", str(model), str(picture))[0] == 0
