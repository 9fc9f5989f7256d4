"""Checkpoints without pickles: tensors as safetensors, the rest as JSON, written atomically."""

import json
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kia.data.store.atomic_folder import fsync
from kia.errors import RunError
from kia.files.plain import parse_json, read_json
from kia.files.records import first_problem
from kia.files.regular import read_text, sha256
from kia.training.run_schema import Count, Stage

KEPT = 2  # the newest, beside the best
HASHES = "sha256.json"
FILES = ("module.safetensors", "optimizer.safetensors", "progress.json")
"""What a checkpoint is made of, beside their hashes."""
SLOTS = {"step", "exp_avg", "exp_avg_sq"}
"""What RAdam remembers of a weight."""
_NAME = re.compile("step-[0-9]{8,12}")


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        stage: "joint", "generation" or "done".
        epoch: Finished epochs over both stages.
        batch: Finished batches of the current epoch.
        step: Optimiser steps over both stages.
        stage_epoch: Finished epochs of this stage.
        stage_step: Optimiser steps of this stage.
        best: Best validation score (`train.select_by`) so far; None before the first validation.
        best_epoch: Finished epochs when it was reached.
        stale: Validations of this stage since the best one.
        skipped: Steps left out because a loss or gradient was not finite.
        log_bytes: Length of log.jsonl at this point; later lines belong to a lost future.
        window: Sums of the losses since the last line of the log (see `LossWindow`).
        scaler: State of the loss scaler of float16 (see `Precision`).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    stage: Stage = "joint"
    epoch: Count = 0
    batch: Count = 0
    step: Count = 0
    stage_epoch: Count = 0
    stage_step: Count = 0
    best: float | None = None
    best_epoch: Count = 0
    stale: Count = 0
    skipped: Count = 0
    log_bytes: Count = 0
    window: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, int | float] = field(default_factory=dict)

    @property
    def is_best(self) -> bool:
        """Whether this is the end of the epoch of the best validation."""
        return self.best is not None and self.epoch == self.best_epoch and not self.batch


def save_checkpoint(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> Path:
    """Writes `folder/step-…` under a hidden name and renames it; keeps the last two and the best.

    A process killed at any moment leaves whole checkpoints and hidden folders, nothing else.

    Raises:
        RunError: The disk is full or not writable; the checkpoints before are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = checkpoint_path(folder, progress.step)
    partial = folder / f".{final.name}.partial"
    clear_hidden(folder)
    try:
        partial.mkdir()
        save_tensors(partial / "module.safetensors", module.state_dict())
        save_tensors(partial / "optimizer.safetensors", optimizer_tensors(optimizer))
        (partial / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")
        fsync(partial / "progress.json")
        hashes = {path.name: sha256(path) for path in sorted(partial.iterdir())}
        (partial / HASHES).write_text(json.dumps(hashes, indent=2), encoding="utf-8")
        fsync(partial / HASHES)
        if final.exists():
            final.rename(folder / f".{final.name}.replaced")
        partial.rename(final)
        fsync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(
            f"cannot save a checkpoint in {folder}: {error}. The last one is untouched; make room "
            "and continue with --resume"
        ) from error
    for old in checkpoints(folder)[:-KEPT]:
        if not _is_best(old, progress.best_epoch):
            old.rename(folder / f".{old.name}.old")
    clear_hidden(folder)
    return final


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}"


def _is_best(path: Path, best_epoch: int) -> bool:
    try:
        progress = read_progress(path)
    except RunError:
        return False
    return progress.is_best and progress.epoch == best_epoch


def _check_hashes(path: Path, names: tuple[str, ...] = FILES) -> None:
    """Raises ValueError where a file is not as it was written, or that cannot be known."""
    try:
        written = read_json(path / HASHES)
    except FileNotFoundError:
        raise ValueError(f"{HASHES} is missing, so that nobody can tell") from None
    if not isinstance(written, dict):
        raise ValueError(f"{HASHES} holds no hashes")
    for name in names:
        if sha256(path / name) != written.get(name):
            raise ValueError(f"{name} is not as it was written")


def clear_hidden(folder: Path) -> None:
    """Removes what a killed process left half-written or half-deleted."""
    for path in folder.glob(".step-*"):
        shutil.rmtree(path, ignore_errors=True)


def set_aside(path: Path) -> None:
    """Renames a damaged checkpoint, so that it no longer counts as one."""
    shutil.rmtree(path.with_name(f"damaged-{path.name}"), ignore_errors=True)
    path.rename(path.with_name(f"damaged-{path.name}"))


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    found = (path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    return sorted(path for path in found if (path / "progress.json").is_file())


def load_checkpoint(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None
) -> Progress:
    """Restores module, optimizer (if given) and progress.

    Raises:
        RunError: The checkpoint is damaged or belongs to another configuration.
    """
    try:
        _check_hashes(path)
        module.load_state_dict(load_file(path / "module.safetensors"))
        if optimizer is not None:
            load_optimizer(optimizer, load_file(path / "optimizer.safetensors"))
        return read_progress(path)
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        raise _damaged(path, error) from error


def read_progress(path: Path) -> Progress:
    """The progress of a checkpoint.

    Raises:
        RunError: The checkpoint is damaged.
    """
    try:
        _check_hashes(path, ("progress.json",))
        text = read_text(path / "progress.json")
        parse_json(text)
        return TypeAdapter(Progress).validate_json(text)
    except ValidationError as error:
        raise _damaged(path, ValueError(first_problem(error))) from error
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> RunError:
    reason = " ".join(str(error).split())[:200]
    return RunError(f"checkpoint {path} is damaged or of another run: {reason}")


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors as safetensors, and waits until they are on disk."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    fsync(path)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer as named tensors: "NUMBER.NAME", by parameter."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value
        for number, slots in state.items()
        for name, value in slots.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restores what `optimizer_tensors` returned."""
    tree = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = value
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, slots in state.items():
        shape = parameters[place].shape if 0 <= place < len(parameters) else None
        if slots.keys() != SLOTS:
            raise ValueError(f"{place}: other state than {', '.join(sorted(SLOTS))}")
        for name, value in slots.items():
            if value.shape not in ((), shape):
                raise ValueError(f"{place}.{name} is not of the shape of its weights")
            if name == "step" and not 0 <= value.item() < 1 << 48:
                raise ValueError(f"{place}.step is no number of steps")
    optimizer.load_state_dict({"state": state, "param_groups": tree["param_groups"]})
