"""The experiment that chose the maps, on a random model, against `kia evaluate --localisation`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "phantom_maps.py"


@pytest.mark.slow
def test_its_row_of_gradients_is_what_the_command_gives(
    make_model, make_phantoms, tmp_path, kia_command
):
    model, data = make_model(tmp_path / "model", 160), make_phantoms(tmp_path / "data", 60)
    words = ("--data", str(data), "--split", "train", "--json", str(tmp_path / "maps.json"))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(model), *words],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "| difference, without a model | 32 |" in done.stdout
    maps = json.loads((tmp_path / "maps.json").read_text())
    file = tmp_path / "l.json"
    words = ("--localisation", "phantom", "--data", str(data), "--split", "train")
    assert kia_command("evaluate", str(model), *words, "--json", str(file))[0] == 0
    expected = json.loads(file.read_text())["systems"]
    found = maps["integrated, 4 steps from the mean image"]["systems"]
    assert found["atlas"] == expected["atlas"]
    assert found["map"]["mean"] == pytest.approx(expected["gradient"]["mean"], rel=1e-3)
    own = maps["attention, mean"]["systems"]["map"]["mean"]["inside"]
    assert own == pytest.approx(expected["attention"]["mean"]["inside"], rel=1e-3)
