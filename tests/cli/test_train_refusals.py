"""What cannot be trained is refused before the first step: one line that says what to do."""

import pytest
import yaml

from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset


def words(yaml_file, data, run, *sets, start=None) -> list[str]:
    more = [word for value in sets for word in ("--set", value)]
    more += ["--from", str(start)] if start else []
    return ["train", yaml_file, "--data", str(data), "--out", str(run), *more]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.batch_size=999", "larger than the"),
        ("train.accumulate=9", "train: accumulate 9 is more parts than batch_size 8"),
        ("tasks.irc.queue_length=0", "tasks.irc.queue_length: Input should be greater than 0"),
        ("tasks.mim.p_key=1.2", "tasks.mim.p_key: Input should be less than or equal to 1"),
        ("tasks.mim.p_total=0", "tasks.mim.p_total: Input should be greater than 0"),
        ("tasks.mmlm.weight=1", "unknown key 'tasks.mmlm'; did you mean 'tasks.mlm'?"),
        ("train.frozen=[image_towr]", "'image_stem', 'image_tower', 'text_tower' or 'cross_att"),
        ("train.layer_decay=1.5", "train.layer_decay: Input should be less than or equal to 1"),
        ("train.select_by=bleu", "train.select_by: Input should be "),
        ("tasks.mim.weight=.inf", "tasks.mim.weight: Input should be a finite number"),
        ("train.seed=4294967296", "train.seed: Input should be less than 4294967296"),
        (
            "model.text_encoder.max_positions=20",
            "max_positions 20 cuts reports of data.max_words 60",
        ),
    ],
)
def test_a_configuration_that_cannot_fit(change, said, yaml_file, data, tmp_path, one_line):
    assert said in one_line(2, *words(yaml_file, data, tmp_path / "run", change))
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_of_another_image_size(yaml_file, make_phantoms, tmp_path, one_line):
    other = make_phantoms(tmp_path / "other", 24, size=96)
    line = one_line(1, *words(yaml_file, other, tmp_path / "run"))
    assert "holds 96-pixel images" in line
    assert "--size 64" in line and "--set model.image_size=96" in line
    assert not (tmp_path / "run").exists()


def test_a_text_tower_that_cannot_hold_the_label_report(yaml_file, data, tmp_path, one_line):
    line = one_line(2, *words(yaml_file, data, tmp_path / "run", "tasks.mlm.masking=label"))
    assert "the text tower 64: --set model.text_encoder.max_positions=" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("masking", "lacking", "said"),
    [
        ("tasks.mlm.masking=label", "labels", "reports without labels"),
        ("tasks.mlm.masking=graph", "graph", "without entities"),
        ("tasks.mim.masking=anatomy", "landmarks", "reports without landmarks"),
    ],
)
def test_a_data_set_without_the_knowledge_that_masks_need(
    masking, lacking, said, yaml_file, data, tmp_path, one_line
):
    from dataclasses import replace

    full = PreparedDataset.open(data)
    with DatasetWriter(tmp_path / "bare", image_size=64, source="bare") as writer:
        for number in range(len(full)):
            writer.add(replace(full.study(number), **{lacking: None}), full.pixels(number))
    line = one_line(1, *words(yaml_file, tmp_path / "bare", tmp_path / "run", masking))
    assert said in line and masking.rpartition("=")[0] in line and "prepare it again" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["model.text_encoder.width=48", "model.text_encoder.depth=2"],
            "--set model.text_encoder.depth=1 --set model.text_encoder.width=32",
        ),
        (["model.share_parameters=false"], "--set model.share_parameters=True"),
    ],
)
def test_a_start_from_an_incompatible_model(
    changes, said, yaml_file, data, model, tmp_path, one_line
):
    line = one_line(2, *words(yaml_file, data, tmp_path / "run", *changes, start=model))
    assert line.endswith(f"{model} is built otherwise: {said}")
    assert not (tmp_path / "run").exists()


def test_a_start_from_what_is_no_model(yaml_file, data, tmp_path, one_line):
    assert "is no model" in one_line(1, *words(yaml_file, data, tmp_path / "run", start=data))
    assert not (tmp_path / "run").exists()


def test_another_start_or_configuration_on_resume(
    yaml_file, data, model, tmp_path, one_line, kia_command
):
    """A run for data with other words and image size goes on without being told again."""
    other = tmp_path / "other"
    with DatasetWriter(other, image_size=96, source="other") as writer:
        write_phantoms(writer, 30, seed=3)
    run = tmp_path / "run"
    sets = ["model.image_size=96", "train.generation.epochs=0", "model.image_encoder.patch_size=16"]
    code, _, err = kia_command(*words(yaml_file, other, run, *sets, start=model))
    assert code == 0, err
    assert f"started from {model}" in err and "4×4 patches to 6×6" in err
    assert yaml.safe_load((run / "run.yaml").read_text())["from"]["path"] == str(model)
    again = words(yaml_file, other, run, *sets)
    assert kia_command(*again, "--resume")[0] == 0
    line = one_line(1, *again, "--resume", "--set", "train.layer_decay=0.5")
    assert "train.layer_decay: 1.0 (now 0.5)" in line and "choose another --out" in line
    line = one_line(1, *again, "--resume", "--from", str(run))
    assert f"was started from {model}" in line and "leave --from out" in line
