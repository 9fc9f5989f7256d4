"""`kia info`: the parameters of presets and models."""

import json
import shutil

import pytest
from safetensors import safe_open

from kia.data.store.dataset import PreparedDataset


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


def test_a_training_is_estimated_from_the_data(yaml_file, data, tmp_path, kia_command, monkeypatch):
    from kia.training import estimate

    monkeypatch.setattr(estimate, "SECONDS", 0.0)
    file = tmp_path / "info.json"
    words = ("info", yaml_file, "--batch", "4", "--data", str(data), "--json", str(file))
    code, out, err = kia_command(*words)
    assert code == 0, err
    assert "training with 4 studies a step" in out and "fits in" in out
    studies = len(PreparedDataset.open(data).indices("train"))
    assert f"{studies} studies an epoch" in out and "name yours with --data" not in out
    training = json.loads(file.read_text())["training"]
    parts = {name: size for name, size in training["memory_bytes"].items() if name != "all"}
    assert training["memory_bytes"]["all"] == sum(parts.values())
    assert training["fits"] and training["largest_at_once"] > 4
    assert training["step_seconds"].keys() == {"joint", "generation"}
    for stage, each in training["step_seconds"].items():
        assert training["epoch_seconds"][stage] == pytest.approx(each * studies / 4)


def test_what_does_not_fit_says_what_to_change(yaml_file, kia_command, monkeypatch):
    from kia.training import estimate

    monkeypatch.setattr(estimate._Probe, "step_seconds", lambda self, joint: 1.0)
    monkeypatch.setattr(estimate, "available_memory", lambda device: 1)
    code, out, err = kia_command("info", yaml_file, "--batch", "16")
    assert code == 0, err
    assert "does not fit in 0.0 GB available, not even with one study" in out
    assert "smaller preset" in out and "phantoms" in out


def test_the_verdict_names_parts_that_fit():
    from kia.cli.info import _verdict
    from kia.training.estimate import Estimate

    memory = {"weights": 4 * 10**9, "activations": 16 * 10**9}
    found = Estimate(32, 32, None, 60, memory, 10 * 10**9, 12, {"joint": 1.0})
    line = _verdict(found)
    assert line.startswith("does not fit in 10.0 GB available: 12 studies at once would")
    assert "train.accumulate=3" in line and "--batch 12" in line


def test_a_data_set_that_does_not_fit_and_a_trained_model_are_refused(
    yaml_file, make_phantoms, model, tmp_path, one_line
):
    other = make_phantoms(tmp_path / "other", 24, size=96)
    assert "--size 64" in one_line(1, "info", yaml_file, "--data", str(other))
    assert "is trained already" in one_line(2, "info", str(model), "--batch", "4")


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
