"""What a run folder tells about a run, read without its model (and without torch)."""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kia.errors import RunError
from kia.files.plain import read_json
from kia.files.regular import MOST_TABLE, read_text
from kia.training.run_schema import parse_line, read_description

Line = dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder shows it.

    Attributes:
        path: Of the run folder.
        config: As a tree of plain values.
        data: Path and hash of the data set.
        environment: Versions, precision and threads.
        log: Lines of log.jsonl.
        state: "new" (nothing logged yet), "running", "stopped" or "finished".
    """

    path: Path
    config: dict[str, Any]
    data: dict[str, Any]
    environment: dict[str, Any]
    log: list[Line]
    state: str

    @cached_property
    def training(self) -> list[Line]:
        """Lines of training steps."""
        return lines_of(self.log, "train")

    @cached_property
    def validations(self) -> list[Line]:
        """Lines of validations."""
        return lines_of(self.log, "validation")

    @property
    def kept(self) -> Line | None:
        """The validation at which the model in the folder was kept."""
        return next((line for line in reversed(self.validations) if line["best"]), None)

    @property
    def epoch(self) -> int:
        """Epochs that have begun, over both stages."""
        return int(self.training[-1]["epoch"]) if self.training else 0

    @property
    def epochs(self) -> int:
        """Epochs that the configuration asks for, over both stages."""
        train = self.config["train"]
        return int(train["joint"]["epochs"] + train["generation"]["epochs"])

    @property
    def seconds(self) -> float:
        """Time in training steps; validation is not counted."""
        size, before, total = self.config["train"]["batch_size"], 0, 0.0
        for line in self.training:
            total += size * (line["step"] - before) / line["studies_per_second"]
            before = line["step"]
        return total

    @property
    def studies_per_second(self) -> float | None:
        """Mean speed of training."""
        if not self.training or not self.seconds:
            return None
        return float(self.training[-1]["step"] * self.config["train"]["batch_size"] / self.seconds)


def lines_of(log: Iterable[Line], kind: str) -> list[Line]:
    """Lines of one kind, in their order."""
    return [line for line in log if line["kind"] == kind]


def read_run(path: Path) -> RunRecord:
    """Reads a run folder.

    Raises:
        RunError: It is none, or damaged.
    """
    file = path / "run.yaml"
    if not file.is_file():
        raise RunError(f"{path} is no run folder: it has no run.yaml")
    said = read_description(file)
    log = read_log(path / "log.jsonl")
    data = said.data.model_dump()
    return RunRecord(path, said.config, data, said.environment, log, _state(path, log))


def read_log(file: Path) -> list[Line]:
    """Lines of a log.jsonl; [] where there is none, and without a last line half-written.

    Raises:
        RunError: Another line is damaged.
    """
    if not file.is_file():
        return []
    try:
        *whole, half = read_text(file, MOST_TABLE).split("\n")
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is damaged: {error}") from error
    log = []
    for number, text in enumerate([*whole, half], start=1):
        try:
            if text or number <= len(whole):
                log.append(parse_line(text))
        except ValueError as error:
            if number > len(whole):
                break  # a running or killed process has not finished it
            raise RunError(f"line {number} of {file} is damaged: {error}") from error
    return log


def find_runs(folders: Iterable[Path]) -> list[Path]:
    """Run folders among and below the given ones, sorted below each.

    Raises:
        RunError: One of them is no folder, or holds no run.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise RunError(f"{folder} is no folder")
        below = sorted(_runs_below(folder))
        if not below:
            raise RunError(f"{folder} holds no run (a folder with run.yaml, as kia train writes)")
        found += below
    return list(dict.fromkeys(found))


def _runs_below(folder: Path) -> Iterator[Path]:
    for parent, names, files in os.walk(folder):
        if "run.yaml" in files:
            names.clear()  # no run lies inside another
            yield Path(parent)


def config_differences(runs: Sequence[RunRecord]) -> dict[str, list[Any]]:
    """Configuration keys whose values differ, with the value of each run (None: no such key)."""
    trees = [dict(_leaves(run.config)) for run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    rows = {key: [tree.get(key) for tree in trees] for key in keys}
    rows["data"] = [run.data["path"] for run in runs]
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _state(path: Path, log: list[Line]) -> str:
    if _is_locked(path / "run.lock"):
        return "running"
    newest = max(path.glob("checkpoints/step-*/progress.json"), default=None)
    try:
        progress = newest and read_json(newest)
    except (OSError, ValueError):  # it will be set aside where the run goes on
        progress = None
    if isinstance(progress, dict) and progress.get("stage") == "done":
        return "finished"
    return "stopped" if log else "new"


def _is_locked(file: Path) -> bool:
    """Whether a process trains in the folder (see `RunFolder`)."""
    if not file.is_file():
        return False
    with file.open() as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
