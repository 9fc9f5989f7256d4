"""A command that runs in a stranger's folder runs nothing that lies there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

KIA = str(Path(sys.executable).with_name("kia"))
SHADOWS = (
    *("numpy", "types", "kia", "json", "socket"),
    *("typing", "PIL", "pydicom", "signal", "multiprocessing"),
)
"""Of Python, of packages and of kia: what a child imports, or what its own imports import."""
# `python -m` looks into the current folder first, and imports these before kia has a say
FIRST_OF_RUNPY = {"types", "kia"}


@pytest.fixture
def folder(make_model, pictures, tmp_path) -> Path:
    """A downloaded model folder, with pictures and tables."""
    folder = make_model(tmp_path / "downloaded", positions=128)
    for number, name in enumerate(pictures[0]):
        shutil.copy(name, folder / f"{number}.png")
    rows = (f"{n},train,0.png,No edema.\n" for n in range(300))  # so many that processes label them
    (folder / "list.csv").write_text("id,split,image,report\n" + "".join(rows))
    return folder


def shadow(folder: Path, names=SHADOWS) -> Path:
    """Lays modules of these names into a folder; gives the file in which they note themselves."""
    noted = folder / "noted.txt"
    for name in names:
        line = f"open({str(noted)!r}, 'a').write({name!r} + ' ' + __name__ + chr(10))\n"
        (folder / f"{name}.py").write_text(line)
    return noted


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=300
    )


slow = pytest.mark.slow
PHANTOM = "data phantom --studies 40 --workers 2 --out set"
MANIFEST = "data manifest list.csv --size 32 --workers 2 --out set"
COMMANDS = [
    pytest.param("generate . 0.png", id="generate"),
    pytest.param(PHANTOM, id="phantom"),
    pytest.param(MANIFEST, id="manifest"),
    pytest.param("findings . 0.png", id="findings", marks=slow),
    pytest.param("bench step tiny --batch 2 --rounds 1", id="bench", marks=slow),
]


@pytest.mark.parametrize("words", COMMANDS)
def test_nothing_of_the_folder_is_run_and_no_process_is_left_at_the_end(folder, words):
    """Processes inherit the environment, so one variable names the whole family."""
    noted, mark = shadow(folder), uuid.uuid4().hex
    done = run(folder, KIA, *words.split(), KIA_TEST_FAMILY=mark)
    left = [one for one in psutil.process_iter(["cmdline"]) if has(one, mark)]
    assert not noted.exists(), noted.read_text()
    assert not [one.info for one in left]
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("KIA_TEST_FAMILY") == mark
    except psutil.Error:  # it ended just now, or is another user's
        return False


@slow
def test_a_server_in_a_strangers_folder_runs_nothing_of_it(folder):
    noted = shadow(folder)
    command = [KIA, "serve", ".", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, **pipes) as server:
        try:
            port = re.search(r"127\.0\.0\.1:(\d+)", server.stdout.readline())[1]
            address = f"http://127.0.0.1:{port}/v1/findings"
            asked = run(folder.parent, "curl", "-s", "-F", f"images=@{folder}/0.png", address)
            assert '"findings"' in asked.stdout
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
    assert not noted.exists(), noted.read_text()


@pytest.mark.parametrize(
    "words",
    [
        "-m kia",
        pytest.param("-m kia.cli.main", marks=slow),
        pytest.param("-m torch.distributed.run --nproc-per-node 1 --module kia", marks=slow),
    ],
)
def test_python_m_runs_nothing_but_what_python_itself_imports_first(folder, words):
    """As the documents say. torch is a stranger there: its own start is left out."""
    own = {"torch", "numpy", "json", "socket", "typing", "signal", "multiprocessing"}
    names = {*SHADOWS, "typer", "rich", "click", "pyarrow"} - FIRST_OF_RUNPY
    noted = shadow(folder, names - (own if "torch" in words else set()))
    done = run(folder, sys.executable, *words.split(), *MANIFEST.split())
    assert not noted.exists(), noted.read_text()
    assert done.returncode == 0, done.stderr


@slow
@pytest.mark.parametrize(
    ("words", "environment"),
    [
        ("-P -m kia", {}),
        (
            "-m torch.distributed.run --nproc-per-node 1 --module kia.cli.main",
            {"PYTHONSAFEPATH": "1"},
        ),
    ],
)
def test_a_safe_path_runs_nothing_at_all(folder, words, environment):
    noted = shadow(folder)
    done = run(folder, sys.executable, *words.split(), *MANIFEST.split(), **environment)
    assert not noted.exists(), noted.read_text()
    assert done.returncode == 0, done.stderr
