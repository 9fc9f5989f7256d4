"""`kia ablate` as a user meets it."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kia.errors import DataError

NO_EPOCHS = ("--set", "train.joint.epochs=0", "--set", "train.generation.epochs=0")


def words(table, preset, data, out, *more) -> list[str]:
    place = ("--preset", preset, "--data", str(data), "--out", str(out))
    return ["ablate", table, *place, *more]


@pytest.fixture(scope="module")
def preset(yaml_file, tmp_path_factory) -> str:
    """That of the other tests, with room for label reports."""
    tree = yaml.safe_load(Path(yaml_file).read_text())
    tree["model"]["text_encoder"]["max_positions"] = 128
    file = tmp_path_factory.mktemp("ablate") / "preset.yaml"
    file.write_text(yaml.safe_dump(tree))
    return str(file)


@pytest.fixture(autouse=True)
def no_meteor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without METEOR's tables the command must work too."""

    def refuse(*_: Any, **__: Any) -> None:
        raise DataError("no tables here")

    monkeypatch.setattr("kia.evaluation.language.scores.Meteor", refuse)


@pytest.fixture(scope="module")
def folder(preset, data, tmp_path_factory) -> Path:
    """Figure 5, killed in the training of the second setting, then continued; Table 4 beside it."""
    from kia.cli.main import main
    from kia.training.loop import Trainer

    out = tmp_path_factory.mktemp("ablate") / "out"
    command = words("fig5", preset, data, out, "--json", str(out.parent / "fig5.json"))
    validate, calls = Trainer._validate, []

    def killed(self: Trainer) -> None:
        calls.append(self.run_folder.path)
        if len(calls) == 3:  # a run validates twice
            raise KeyboardInterrupt
        validate(self)

    with pytest.MonkeyPatch.context() as patch:
        no_meteor.__wrapped__(patch)
        patch.setattr(Trainer, "_validate", killed)
        assert main(command) == 130
    first, second = calls[0], calls[2]
    assert not list(second.glob("predictions*"))
    before = {p: p.stat().st_mtime_ns for p in (first / "model").iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        no_meteor.__wrapped__(patch)
        assert main(command) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before  # finished runs stay as they are
    return out


def test_a_killed_ablation_continues_and_draws_figure_5(folder):
    runs = {str(p.relative_to(folder)) for p in folder.glob("runs/*/*")}
    assert runs == {"runs/kia-graph/seed-0", "runs/kia-label/seed-0"}
    assert (folder / "fig5.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads((folder.parent / "fig5.json").read_text())
    assert [row["label"] for row in found["rows"]] == ["Graph-MLM", "Label-MLM"]
    assert found["dataset"]["split"] == "test" and found["seeds"] == [0]


def test_the_scores_are_those_of_kia_evaluate(folder, data, tmp_path, kia_command):
    run = folder / "runs" / "kia-graph" / "seed-0"
    answer = tmp_path / "scores.json"
    predictions = str(run / "predictions-test.jsonl")
    code, _, _ = kia_command("evaluate", predictions, "--data", str(data), "--json", str(answer))
    assert code == 0
    expected = json.loads(answer.read_text())
    found = json.loads((run / "scores-test.json").read_text())["result"]
    assert found | {"name": None} == expected | {"name": None}


def test_given_again_it_prints_the_same_and_trains_nothing(
    folder, preset, data, tmp_path, kia_command, monkeypatch
):
    monkeypatch.setattr("kia.training.train", None)
    files = [tmp_path / name for name in ("a.json", "a.md", "a.tex", "a.png")]
    options = zip(("--json", "--markdown", "--latex", "--plot"), map(str, files), strict=True)
    more = [word for pair in options for word in pair]
    code, out, err = kia_command(*words("fig5", preset, data, folder, *more))
    assert code == 0 and "2 of 2 runs are scored already" in err
    assert "Figure 5" in out and "Does it look at the image?" in out
    assert (
        json.loads(files[0].read_text())["rows"]
        == json.loads((folder.parent / "fig5.json").read_text())["rows"]
    )
    assert "### Figure 5" in files[1].read_text()
    assert files[2].read_text().count(r"\begin{tabular}") == 2
    assert files[3].is_file()


def test_only_some_settings(folder, preset, data, tmp_path, kia_command, monkeypatch):
    monkeypatch.setattr("kia.training.train", None)
    answer = tmp_path / "one.json"
    options = ("--only", "kia-label", "--json", str(answer))
    code, out, err = kia_command(*words("table1", preset, data, folder, *options))
    assert code == 0 and "1 of 1 runs are scored already" in err
    assert "KIA (Label)" in out and "above" not in out  # no order of one
    assert [row["setting"] for row in json.loads(answer.read_text())["rows"]] == ["kia-label"]


def test_table_1_takes_the_runs_of_figure_5(folder, preset, data, kia_command, monkeypatch):
    monkeypatch.setattr("kia.training.train", None)
    code, out, _ = kia_command(*words("table1", preset, data, folder))
    assert code == 0
    assert re.search(r"KIA \(Graph\) above KIA \(Label\): (holds|does not hold)", out)
    assert "no tables here" in out  # METEOR is not replaced
    assert "most frequent" in out and "best constant" in out


def test_table_4_trains_the_separate_towers_alone_and_counts_parameters(
    folder, preset, data, tmp_path, kia_command
):
    answer = tmp_path / "table4.json"
    code, out, err = kia_command(*words("table4", preset, data, folder, "--json", str(answer)))
    assert code == 0 and "1 of 2 runs are scored already" in err
    separate, shared = json.loads(answer.read_text())["rows"]
    assert separate["parameters"] > shared["parameters"]
    assert shared["runs"] == [str(folder / "runs" / "kia-graph" / "seed-0")]
    assert "parameters" in out


def test_scores_of_other_weights_are_made_anew(folder, preset, data, kia_command):
    file = folder / "runs" / "kia-label" / "seed-0" / "scores-test.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps(before | {"of": before["of"] | {"model": "other"}}))
    code, _, err = kia_command(*words("fig5", preset, data, folder))
    assert code == 0 and "1 of 2 runs are scored already" in err and "is finished" in err
    assert json.loads(file.read_text()) == before


def test_resamples_are_the_same_studies_in_all_runs(folder):
    """So that a difference may be taken resample by resample."""
    scores = [
        np.load(folder / "runs" / name / "seed-0" / "scores-test.npz")["protocols.r2gen.cider"]
        for name in ("kia-graph", "kia-label")
    ]
    assert scores[0].shape == scores[1].shape == (1000,)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "train.batch_size=4"), "train.batch_size: 8 (now 4)"),
        (("--set", "tasks.mim.p_total=0.5"), "tasks.mim.p_total: 0.6 (now 0.5)"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(more, said, folder, preset, data, one_line):
    line = one_line(1, *words("fig5", preset, data, folder, *more))
    assert said in line and "another --out" in line


def test_other_data_in_the_same_folder_are_refused(
    folder, preset, tmp_path, make_phantoms, one_line
):
    other = make_phantoms(tmp_path / "other", 30)
    line = one_line(1, *words("fig5", preset, other, folder))
    assert "other data" in line and "another --out" in line


@pytest.mark.parametrize(
    ("table", "more", "said"),
    [
        ("table6", (), "table1, table2"),
        ("table3", ("--split", "train"), "val or test"),
        ("table3", ("--dataset", "chexpert"), "iu or mimic"),
        ("table3", ("--plot", "x.png"), "fig5"),
        ("fig5", ("--plot", "x.pdf"), ".png"),
        ("table3", ("--seeds", "0"), "--seeds"),
        ("table3", ("--only", "shared"), "table3 has the settings rg-only, mim-general"),
        ("table3", ("--only", "kia-graph"), "add --only rg-only"),
        ("table3", ("--set", "tasks.mlm.masking=graph"), "leave it out"),
        ("table3", ("--set", "tasks.irm.weight=0"), "--set tasks.irm.weight=1"),
        ("table3", ("--set", "train.batch_size=999"), "larger than the"),
        ("table3", ("--set", "model.text_encoder.max_positions=64"), "reads a label report"),
        ("table3", NO_EPOCHS, "nothing to train"),
    ],
)
def test_what_cannot_run_is_one_line(table, more, said, preset, data, tmp_path, one_line):
    out = tmp_path / "out"
    assert said in one_line(2, *words(table, preset, data, out, *more))
    assert not out.exists()  # so that the folder is free for the right command


def test_a_full_folder_is_refused_and_left(preset, data, tmp_path, one_line):
    (tmp_path / "letter.txt").write_text("dear")
    assert "no ablation" in one_line(1, *words("table3", preset, data, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_without_matplotlib_figure_5_is_refused_before_training(
    preset, data, tmp_path, one_line, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "kia[plots]" in one_line(1, *words("fig5", preset, data, tmp_path / "out"))


def test_without_pycocoevalcap_nothing_is_trained(preset, data, tmp_path, one_line, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None)
    out = tmp_path / "out"
    assert "kia[evaluation]" in one_line(1, *words("table1", preset, data, out))
    assert not out.exists()  # so that the folder is free for the right command


@pytest.mark.slow
def test_all_of_table_3_with_two_seeds(preset, data, tmp_path, kia_command):
    answer = tmp_path / "table3.json"
    more = ("--seeds", "2", "--json", str(answer))
    code, out, _ = kia_command(*words("table3", preset, data, tmp_path / "out", *more))
    assert code == 0
    found = json.loads(answer.read_text())
    assert len(found["rows"]) == 9 and found["seeds"] == [0, 1]
    assert all("sd" in row["gain"] for row in found["rows"])
    assert "AVG.Δ" in out and "sd over runs" in out
