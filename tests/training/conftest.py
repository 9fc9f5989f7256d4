"""A tiny phantom data set and configuration, runs in this process and in real ones."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from kia.config import RunConfig, validate
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset

SIZE = 64
CONFIG = {
    "model": {
        "image_size": SIZE,
        "image_encoder": {"width": 32, "depth": 1, "heads": 2, "ffn_width": 64, "stem": "conv"},
        "text_encoder": {
            **{"width": 32, "depth": 1, "heads": 2, "ffn_width": 64},
            **{"max_positions": 160, "vocab_size": 400},
        },
        "projection_width": 16,
    },
    "tasks": {"irc": {"queue_length": 32, "same_report_is_positive": True}},
    "train": {
        "batch_size": 8,
        "joint": {"epochs": 2, "learning_rate": 1e-3},
        "generation": {"epochs": 1, "learning_rate": 5e-4},
        "checkpoint_every": 2,
        "precision": "float32",
        "threads": 1,
    },
    "generation": {"beams": 1, "max_tokens": 12},
}
STEPS_AN_EPOCH = 5  # 39 training studies in batches of 8


def prepare_phantoms(folder: Path, studies: int, size: int = SIZE, seed: int = 0) -> Path:
    with DatasetWriter(folder, image_size=size, source="phantom") as writer:
        write_phantoms(writer, studies, seed)
    return folder


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 studies of 64 pixels: 39 to train on, 5 to validate on."""
    return prepare_phantoms(tmp_path_factory.mktemp("phantoms") / "data", 48)


@pytest.fixture(scope="session")
def dataset(phantoms: Path) -> PreparedDataset:
    return PreparedDataset.open(phantoms)


@pytest.fixture(scope="session")
def prepare() -> Callable[..., PreparedDataset]:
    """Makes another data set: `prepare(folder, studies, size=…, seed=…)`."""
    return lambda *words, **named: PreparedDataset.open(prepare_phantoms(*words, **named))


def tiny(**changes: object) -> RunConfig:
    """The configuration of these tests with `a__b=value` changes."""
    tree = json.loads(json.dumps(CONFIG))
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return validate(tree, "test")


@pytest.fixture(scope="session")
def configured() -> Callable[..., RunConfig]:
    return tiny


class Listener:
    """A reporter that remembers, and calls `on_advance(what, count)` at each advance."""

    def __init__(self, on_advance: Callable[[str, int], None] = lambda what, count: None) -> None:
        self.what, self.count = "", 0
        self.begun: list[tuple[str, int, int]] = []
        self.notes: list[str] = []
        self.on_advance = on_advance

    def begin(self, what: str, total: int, done: int) -> None:
        self.what, self.count = what, 0
        self.begun.append((what, total, done))

    def advance(self, studies: int, losses: dict[str, float] | None = None) -> None:
        if studies:
            self.count += 1
            self.on_advance(self.what, self.count)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="session")
def listener() -> type[Listener]:
    return Listener


class Killed(BaseException):
    """Plays a kill inside this process: nothing catches it."""


@pytest.fixture(scope="session")
def killed() -> type[Killed]:
    return Killed


def outcome(run: Path) -> tuple[str, list[dict]]:
    """What a run has produced: the hash of the best model, and the log without what is timed."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line.get("rule") != "starved"]
    for line in lines:
        line.pop("studies_per_second", None)
        line.pop("data_wait", None)
    digest = hashlib.sha256((run / "model" / "model.safetensors").read_bytes())
    return digest.hexdigest(), lines


@pytest.fixture(scope="session")
def outcome_of() -> Callable[[Path], tuple[str, list[dict]]]:
    return outcome


class Processes:
    """Real `kia train` processes on one configuration file."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data = folder, data
        self.yaml = folder / "tiny.yaml"
        self.yaml.write_text(yaml.safe_dump(CONFIG))

    def words(self, run: Path, *options: str) -> list[str]:
        """The command."""
        kia = [sys.executable, "-m", "kia.cli.main"]
        return [
            *kia,
            "train",
            str(self.yaml),
            "--data",
            str(self.data),
            "--out",
            str(run),
            *options,
        ]

    def start(self, run: Path, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(run, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def finish(self, run: Path, *options: str) -> tuple[int, str, str]:
        process = self.start(run, *options)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def kill(self, run: Path, when: Callable[[], bool], *options: str) -> None:
        """Starts a run and kills it with signal 9 as soon as `when()` is true."""
        process = self.start(run, *options)
        wait_for(when, process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL


def wait_for(when: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 240
    while not when():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < limit
        time.sleep(0.001)


@pytest.fixture
def processes(tmp_path: Path, phantoms: Path) -> Processes:
    return Processes(tmp_path, phantoms)
