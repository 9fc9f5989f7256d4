"""`kia info`: the parameters of presets and models."""

import json
import shutil

import pytest
from safetensors import safe_open


def counted(kia_command, tmp_path, *words) -> dict:
    file = tmp_path / "info.json"
    code, out, err = kia_command("info", *words, "--json", str(file))
    assert code == 0, err
    assert "Loading" not in err
    content = json.loads(file.read_text())
    assert f"{content['shared']['total']}" in out
    return content


def test_the_total_of_a_model_is_that_of_its_file(model, tmp_path, kia_command):
    with safe_open(model / "model.safetensors", "np") as file:
        # running statistics of batch norm lie in the file too, but are no parameters
        names = [name for name in file.keys() if ".running_" not in name and ".num_" not in name]  # noqa: SIM118
        expected = sum(file.get_tensor(name).size for name in names)
    found = counted(kia_command, tmp_path, str(model))
    assert found["shared"]["total"] == expected
    parts = sum(count for name, count in found["shared"].items() if name != "total")
    assert parts == expected


def test_separate_towers_have_more_parameters(model, tmp_path, kia_command):
    found = counted(kia_command, tmp_path, str(model))
    assert found["separate"]["total"] > found["shared"]["total"]


def test_overrides_count(tmp_path, kia_command):
    small = counted(kia_command, tmp_path, "tiny")
    deep = counted(kia_command, tmp_path, "tiny", "--set", "model.text_encoder.depth=4")
    assert deep["shared"]["total"] > small["shared"]["total"]


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ("tinny",), "did you mean 'tiny'?"),
        (2, ("tiny", "--set", "model.image_sise=3"), "model.image_size"),
        (2, (), "Missing"),
    ],
)
def test_what_is_no_model_is_one_line(code, words, said, one_line):
    assert said.lower() in one_line(code, "info", *words).lower()


def test_a_damaged_model_is_one_line(model, tmp_path, one_line):
    broken = shutil.copytree(model, tmp_path / "broken")
    (broken / "config.json").write_text("{")
    assert "cannot load" in one_line(1, "info", str(broken))
