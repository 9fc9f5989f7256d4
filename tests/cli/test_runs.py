"""`kia runs` on run folders written by hand: three validations of two runs."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from kia.cli.runs import duration, sparkline

TRAIN = {"batch_size": 8, "joint": {"epochs": 2}, "generation": {"epochs": 1}}


def write_run(folder: Path, seed: int = 0, stage: str = "done", gain: float = 0.2) -> Path:
    """Ten steps of 8 studies an epoch at 4 studies a second: 60 s in all."""
    (folder / "checkpoints" / "step-00000030").mkdir(parents=True)
    progress = folder / "checkpoints" / "step-00000030" / "progress.json"
    progress.write_text(json.dumps({"stage": stage}))
    config = {"train": TRAIN | {"seed": seed}, "tasks": {"rg": {"weight": 1.0}}}
    record = {"config": config, "data": {"path": "d", "hash": "h"}, "environment": {"threads": 1}}
    (folder / "run.yaml").write_text(yaml.safe_dump(record))
    log = []
    for epoch, cider in enumerate([0.1, 0.4, 0.3], start=1):
        where = {"stage": "joint", "epoch": epoch, "step": 10 * epoch}
        log.append({"kind": "train", **where, "studies_per_second": 4.0, "rg": 3.0 - epoch})
        scores = {"cider": cider, "unique_reports": 9, "studies": 10, "loss": 2.0 - epoch / 10}
        log.append({"kind": "validation", **where, **scores, "image_gain": gain, "best": epoch < 3})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return folder


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two runs below one folder; the second does not use the image."""
    write_run(tmp_path / "all" / "seed-0")
    write_run(tmp_path / "all" / "deeper" / "seed-1", seed=1, gain=0.001)
    return tmp_path / "all"


def written(kia_command, tmp_path, *words) -> tuple[dict, str]:
    file = tmp_path / "out.json"
    code, out, err = kia_command("runs", *map(str, words), "--json", str(file))
    assert code == 0, err
    return json.loads(file.read_text()), out


def test_list_has_a_line_for_each_run_below_a_folder(runs, tmp_path, kia_command):
    found, out = written(kia_command, tmp_path, "list", runs)
    assert [run["run"] for run in found["runs"]] == [
        str(runs / "deeper" / "seed-1"), str(runs / "seed-0")
    ]  # fmt: skip
    first = found["runs"][1]
    assert (first["state"], first["epoch"], first["epochs"]) == ("finished", 3, 3)
    assert (first["kept"]["epoch"], first["kept"]["cider"]) == (2, 0.4)
    assert first["training_seconds"] == pytest.approx(60)
    assert first["studies_per_second"] == pytest.approx(4)
    assert first["warnings"] == []
    assert [warning["rule"] for warning in found["runs"][0]["warnings"]] == ["image_unused"]
    (line,) = [line for line in out.splitlines() if line.startswith("  seed-0")]
    assert "0.400 ▁█▆" in line and "60 s" in line and "9/10" in line


def test_show_prints_validations_curves_and_warnings(runs, tmp_path, kia_command):
    found, out = written(kia_command, tmp_path, "show", runs / "deeper" / "seed-1")
    assert [line["cider"] for line in found["validations"]] == [0.1, 0.4, 0.3]
    assert found["config"]["train"]["seed"] == 1
    (kept,) = [line for line in out.splitlines() if line.rstrip().endswith("kept")]
    assert "0.4000" in kept
    (curve,) = [line for line in out.splitlines() if line.startswith("  rg ")]
    assert curve.split() == ["rg", "2.0000", "0.0000", "█▅▁"]
    assert "warning: the image gain is 0.001" in out and "try: " in out


def test_compare_shows_what_differs_and_nothing_else(runs, tmp_path, kia_command):
    found, out = written(kia_command, tmp_path, "compare", runs / "seed-0", runs / "deeper")
    assert found["differences"] == {"train.seed": [0, 1]}
    assert "train.seed" in out and "batch_size" not in out
    assert "deeper/seed-1: the image gain is 0.001" in out
    same = write_run(tmp_path / "same")
    _, out = written(kia_command, tmp_path, "compare", runs / "seed-0", same)
    assert "same configuration" in out


def test_a_plot_is_a_picture(runs, tmp_path, kia_command):
    pytest.importorskip("matplotlib")
    file = tmp_path / "plots" / "curves.png"
    code, out, err = kia_command("runs", "compare", str(runs), "--plot", str(file))
    assert code == 0, err
    assert str(file) in out
    with Image.open(file) as picture:
        assert picture.size == (1300, 910)
        assert len(set(picture.convert("L").tobytes())) > 20


def test_a_run_that_works_says_so_and_half_a_line_is_not_read(runs, tmp_path, kia_command):
    run = write_run(tmp_path / "busy", stage="joint")
    with (run / "log.jsonl").open("a") as log:
        log.write('{"kind": "tra')
    code = f"import fcntl, sys; f = open({str(run / 'run.lock')!r}, 'a'); "
    code += "fcntl.lockf(f, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "locked\n"
        found, _ = written(kia_command, tmp_path, "show", run)
    finally:
        process.communicate()
    assert found["state"] == "running"
    with (run / "run.lock").open("a") as lock:  # looking has not kept the lock
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert written(kia_command, tmp_path, "show", run)[0]["state"] == "stopped"


def test_a_run_without_lines_yet(tmp_path, kia_command):
    run = write_run(tmp_path / "new", stage="joint")
    (run / "log.jsonl").unlink()
    found, _ = written(kia_command, tmp_path, "list", run)
    assert found["runs"][0]["state"] == "new" and found["runs"][0]["kept"] is None
    assert written(kia_command, tmp_path, "show", run)[0]["validations"] == []


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (1, ("show", "{}/nowhere"), "no run folder"),
        (1, ("list", "{}/nowhere"), "no folder"),
        (1, ("list", "{}/empty"), "holds no run"),
        (1, ("show", "{}/torn"), "run.yaml is damaged"),
        (1, ("show", "{}/noise"), "line 2 of"),
        (2, ("compare", "{}/whole"), "kia runs show"),
        (2, ("show", "{}/whole", "--plot", "{}/x.pdf"), ".png"),
        (2, ("list",), "Missing"),
    ],
)
def test_what_cannot_be_shown_is_one_line(code, words, said, tmp_path, one_line):
    (tmp_path / "empty").mkdir()
    for name in ("torn", "noise", "whole"):
        write_run(tmp_path / name)
    (tmp_path / "torn" / "run.yaml").write_text("config: {}\ndata: {}\nenvironment: {}\n")
    log = tmp_path / "noise" / "log.jsonl"
    log.write_text(log.read_text().replace("\n", "\n?", 1))
    assert said.lower() in one_line(code, "runs", *(w.format(tmp_path) for w in words)).lower()


def test_the_log_of_a_real_run_can_be_read(yaml_file, data, tmp_path, kia_command):
    run = tmp_path / "run"
    words = ("train", yaml_file, "--data", data, "--out", run, "--set", "train.joint.epochs=0")
    assert kia_command(*map(str, words))[0] == 0
    found, _ = written(kia_command, tmp_path, "show", run)
    assert (found["state"], found["epoch"], found["skipped_steps"]) == ("finished", 1, 0)
    assert found["validations"][0]["image_gain"] == found["kept"]["image_gain"]


def test_reading_logs_loads_no_torch():
    code = "import sys, kia.training.run_log, kia.training.health; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 8, ""),
        ([1, 2, 3, 4, 5, 6, 7, 8], 8, "▁▂▃▄▅▆▇█"),
        ([0, 0, 7, 7], 2, "▁█"),  # means of pairs
        ([0, 1, 2, 2, 2], 2, "▁█"),  # 0 1 | 2 2 2
        ([5, 5], 8, "▄▄"),
        ([0, float("nan"), 1], 8, "▁█"),
    ],
)
def test_sparklines(values, width, drawn):
    assert sparkline(values, width) == drawn


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said
