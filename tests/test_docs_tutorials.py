"""The tutorials work: their bash blocks, one after another, in an empty folder."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))

SAYS = {
    "fine-tune": "it knows 2000 of 2000 word pieces",
    "own-data": "120 frontal, 120 lateral images",
    "reproduce-table-3": "9 of 9 runs are scored already",
    "score-someone-elses-system": "refused: 3 of 4 are missing",
    "serve": "Research only. Not for clinical use.\n",
}


def script(tutorial: Path) -> str:
    """All that it runs; blocks marked sh are shown only (test_docs.py reads them)."""
    return "".join(re.findall(r"^```bash\n(.*?)^```", tutorial.read_text("utf-8"), re.M | re.S))


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": scripts, "PORT": port, "OMP_NUM_THREADS": "1"}
    command = [
        "bash",
        "-euo",
        "pipefail",
        "-c",
        f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{text}",
    ]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )


def test_all_four_are_here() -> None:
    assert {t.stem for t in TUTORIALS} == set(SAYS)
    assert all(script(t) for t in TUTORIALS)


def test_a_command_that_fails_would_be_noticed(tmp_path: Path) -> None:
    assert run("false\ntrue\n", tmp_path).returncode != 0
    assert run("true\n", tmp_path).returncode == 0


@pytest.mark.slow
@pytest.mark.guides
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda t: t.stem)
def test_a_tutorial_runs_word_for_word(tutorial: Path, tmp_path: Path) -> None:
    done = run(script(tutorial), tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert SAYS[tutorial.stem] in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
