"""Checkpoints without pickles: tensors as safetensors, the rest as JSON, written atomically."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kia.errors import RunError

KEPT = 2


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
        best: Best validation CIDEr so far; None before the first validation.
        best_epoch: Finished epochs when it was reached.
        log_bytes: Length of log.jsonl at this point; later lines belong to a lost future.
    """

    stage: str = "joint"
    epoch: int = 0
    batch: int = 0
    step: int = 0
    stage_epoch: int = 0
    stage_step: int = 0
    best: float | None = None
    best_epoch: int = 0
    log_bytes: int = 0


def save_checkpoint(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> Path:
    """Writes `folder/step-…` under a hidden name and renames it; keeps the last two.

    Raises:
        RunError: The disk is full or not writable; the checkpoints before are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{progress.step:08d}"
    partial = folder / f".{final.name}.{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_tensors(partial / "module.safetensors", module.state_dict())
        save_tensors(partial / "optimizer.safetensors", optimizer_tensors(optimizer))
        (partial / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        _sync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise RunError(
            f"cannot save a checkpoint in {folder}: {error}. The last one is untouched; make room "
            "and continue with --resume"
        ) from error
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "progress.json").is_file())


def load_checkpoint(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None
) -> Progress:
    """Restores module, optimizer (if given) and progress.

    Raises:
        RunError: The checkpoint is damaged or belongs to another configuration.
    """
    try:
        module.load_state_dict(load_file(path / "module.safetensors"))
        if optimizer is not None:
            load_optimizer(optimizer, load_file(path / "optimizer.safetensors"))
        return read_progress(path)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunError(f"checkpoint {path} does not fit this run: {reason}") from error


def read_progress(path: Path) -> Progress:
    """The progress of a checkpoint."""
    return Progress(**json.loads((path / "progress.json").read_text(encoding="utf-8")))


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors as safetensors, and waits until they are on disk."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer as named tensors: "<parameter number>.<name>"."""
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
    optimizer.load_state_dict({"state": state, "param_groups": tree["param_groups"]})


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
