"""Load and faults, as benchmarks/serving_faults.py measures them, for a minute."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "serving_faults.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors, signals of Linux")
def test_every_good_request_is_answered_while_decoders_are_killed_and_stopped(
    model_folder, tmp_path
):
    times = {"seconds": 60, "every": 6, "warm-up": 20, "window": 10, "timeout": 30}
    options = [word for name, value in times.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [sys.executable, BENCHMARK, model_folder, *options, "--json", tmp_path / "found.json"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["harm"]["SIGKILL"] > 3 and found["harm"]["SIGSTOP"] > 3
    assert found["answers"]["good"]["200"] > 300
