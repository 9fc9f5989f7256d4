"""`kia rexrank`: the inference script that ReXrank's submission form asks for."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kia.data.store.dataset import PreparedDataset


@pytest.fixture
def expected(model, data, tmp_path, kia_command) -> list[str]:
    """The reports that `kia generate` writes of the same studies."""
    out = tmp_path / "predictions.jsonl"
    assert kia_command("generate", str(model), "--data", str(data), "--out", str(out))[0] == 0
    return [json.loads(line)["report"] for line in out.read_text().splitlines()]


@pytest.fixture
def entries(data) -> dict[str, dict[str, Any]]:
    """ReXrank's file of the test studies: the second image is the frontal one."""
    number = len(PreparedDataset.open(data).indices("test"))
    return {
        f"CXR{study}_IM-0001": {
            "key_image_path": f"CXR{study}_IM-0001/1.png",
            "image_path": [f"CXR{study}_IM-0001/0.png", f"CXR{study}_IM-0001/1.png"],
            "frontal_lateral": ["Lateral", "Frontal"],
            "section_findings": "The heart is big.",
            "context": "Indication: chest pain.",
        }
        for study in range(1, number + 1)
    }


def words_of(model, folder: Path) -> list[str]:
    return [
        *("rexrank", str(model), "--input_json_file", str(folder / "in.json")),
        *("--save_json_file", str(folder / "out" / "saved.json")),
        *("--img_root_dir", str(folder / "images")),
    ]


@pytest.fixture
def words(model, entries, pictures, tmp_path) -> list[str]:
    """A command whose images lie as R2Gen's and ReXrank's do."""
    for (name, entry), (frontal, lateral) in zip(entries.items(), pictures, strict=True):
        (tmp_path / "images" / name).mkdir(parents=True)
        for path, file in zip(entry["image_path"], (lateral, frontal), strict=True):
            shutil.copy(file, tmp_path / "images" / path)
    (tmp_path / "in.json").write_text(json.dumps(entries))
    return words_of(model, tmp_path)


def saved(folder: Path) -> dict[str, dict[str, Any]]:
    return json.loads((folder / "out" / "saved.json").read_text())


def test_the_output_is_the_input_with_the_reports_of_kia_generate(
    words, entries, expected, tmp_path, kia_command
):
    code, out, _ = kia_command(*words)
    assert code == 0
    assert f"{len(entries)} reports" in out
    found = saved(tmp_path)
    assert [entry.pop("model_prediction") for entry in found.values()] == expected
    assert found == entries
    assert (tmp_path / "out" / "saved.json").read_text().startswith('{\n    "CXR1_IM-0001": {\n')
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["saved.json"]


def test_what_the_output_has_is_kept_and_the_rest_is_written(
    words, entries, expected, tmp_path, kia_command
):
    first = next(iter(entries))
    (tmp_path / "out").mkdir()
    begun = {first: entries[first] | {"model_prediction": "kept"}}
    (tmp_path / "out" / "saved.json").write_text(json.dumps(begun))
    code, out, _ = kia_command(*words)
    assert code == 0
    assert f"{len(entries) - 1} reports" in out
    assert [one["model_prediction"] for one in saved(tmp_path).values()] == ["kept", *expected[1:]]
    assert kia_command(*words)[1].startswith("0 reports")
    assert list(saved(tmp_path)) == list(entries)


@pytest.mark.parametrize("name", ["{}_IM-0001-{}.dcm.png", "CXR{0}_{0}_IM-0001-{1}.png"])
def test_images_under_kaggles_and_open_is_names_are_found_by_their_study(
    name, model, entries, pictures, expected, tmp_path, kia_command
):
    (tmp_path / "images").mkdir()
    rows = ["uid,filename,projection"]
    for number, (frontal, lateral) in enumerate(pictures, 1):
        for file, end, view in ((lateral, 1001, "Lateral"), (frontal, 2001, "Frontal")):
            shutil.copy(file, tmp_path / "images" / name.format(number, end))
            rows.append(f"{number},{number}_IM-0001-{end}.dcm.png,{view}")
    (tmp_path / "in.json").write_text(json.dumps(entries))
    (tmp_path / "views.csv").write_text("\n".join(rows))
    words = [*words_of(model, tmp_path), "--projections", str(tmp_path / "views.csv")]
    assert kia_command(*words)[0] == 0
    assert [one["model_prediction"] for one in saved(tmp_path).values()] == expected


def test_missing_images_are_counted_before_anything_is_written(words, tmp_path, one_line):
    shutil.rmtree(tmp_path / "images" / "CXR2_IM-0001")
    error = one_line(1, *words)
    assert "no image of 1 of" in error
    assert "CXR2_IM-0001/0.png is not there" in error
    assert "--projections" in error
    assert not (tmp_path / "out").exists()


def test_a_damaged_image_costs_no_finished_batch(
    words, entries, expected, tmp_path, one_line, kia_command
):
    broken = tmp_path / "images" / list(entries)[-1] / "0.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    kia_words = [*words, "--batch-size", "1"]
    assert "0.png" in one_line(1, *kia_words)
    assert [one["model_prediction"] for one in saved(tmp_path).values()] == expected[:-1]
    broken.write_bytes(whole)
    assert kia_command(*kia_words)[1].startswith("1 reports")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "expected ReXrank's form"),
        ('{"a": "text"}', "expected ReXrank's form"),
        ("{", "not JSON"),
        ('{"CXR1_IM-1": {"section_findings": "x"}}', "has no image_path"),
        ('{"CXR1_IM-1": {"image_path": [["x"]]}}', "has no image_path"),
        ('{"CXR1_IM-1": {"image_path": ["../in.json"]}}', "no image of 1 of 1"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_not_rexranks_is_refused_in_one_line(
    content, told, model, tmp_path, one_line
):
    (tmp_path / "images").mkdir()
    if content is not None:
        (tmp_path / "in.json").write_text(content)
    assert told in one_line(1, *words_of(model, tmp_path))


@pytest.mark.parametrize(
    ("told", "views"),
    [
        ({"frontal_lateral": ["Lateral", "Frontal"]}, ["lateral", "frontal"]),
        ({"frontal_lateral": ["Lateral", "Frontal", "Lateral"]}, ["frontal", "lateral"]),
        ({"key_image_path": "CXR1_IM-1/1.png"}, ["lateral", "frontal"]),
        ({}, ["frontal", "lateral"]),
    ],
)
def test_views_are_those_that_the_entry_tells_of_its_own_images(told, views, tmp_path):
    """Its list of views may have other images than its list of paths, as 35 of the 590 do."""
    from kia.rexrank import rexrank_studies

    names = ["CXR1_IM-1/0.png", "CXR1_IM-1/1.png"]
    (tmp_path / "CXR1_IM-1").mkdir()
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (study,) = rexrank_studies({"CXR1_IM-1": {"image_path": names, **told}}, tmp_path)
    assert {Path(one.path).name: one.view for one in study.images} == {
        "0.png": views[0],
        "1.png": views[1],
    }
    assert study.images[0].view == "frontal"
