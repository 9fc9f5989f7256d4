"""The run folder: configuration, lock, log, checkpoints and the best model."""

import fcntl
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml

import kia
from kia.config import RunConfig
from kia.data.store import PreparedDataset
from kia.errors import RunError
from kia.models.kia import KIAForReportGeneration
from kia.processing import KIAProcessor
from kia.training.checkpoint import checkpoints


class RunFolder:
    """A run on disk; open it with `create` or `resume`, and it stays locked until `close`."""

    def __init__(self, path: Path) -> None:
        """Locks the folder.

        Raises:
            RunError: Another process works in it, or it cannot be written.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / "run.lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{path} is in use by another process; choose another --out") from error
        except OSError as error:
            raise RunError(f"cannot write the run folder {path}: {error}") from error

    @classmethod
    def open(cls, path: Path, config: RunConfig, dataset: PreparedDataset, resume: bool) -> Any:
        """Starts a run folder, or continues one.

        Raises:
            RunError: The folder holds a run and `resume` is off, or the run in it has another
                configuration or data set.
        """
        started = (path / "run.yaml").is_file()
        if started and not resume:
            raise RunError(
                f"{path} holds a run: continue it with --resume, or choose another --out"
            )
        if not started and path.is_dir() and any(p.name != "run.lock" for p in path.iterdir()):
            raise RunError(f"{path} is not empty and no run; choose another --out")
        run = cls(path)
        if started:
            run._check(config, dataset)
        else:
            run._describe(config, dataset)
        return run

    @property
    def checkpoint_folder(self) -> Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    @property
    def model_folder(self) -> Path:
        """The best model in Hugging Face format."""
        return self.path / "model"

    @property
    def log_file(self) -> Path:
        """One JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def last_checkpoint(self) -> Path | None:
        """The newest finished checkpoint."""
        found = checkpoints(self.checkpoint_folder)
        return found[-1] if found else None

    @property
    def threads(self) -> int:
        """CPU threads that the run was started with."""
        return int(self._described()["environment"]["threads"])

    def log(self, **entry: Any) -> None:
        """Appends a line to the log."""
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def log_size(self) -> int:
        """Bytes in the log."""
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def cut_log(self, size: int) -> None:
        """Drops the lines that were written after the checkpoint that is continued from."""
        if self.log_size() > size:
            os.truncate(self.log_file, size)

    def save_model(self, model: KIAForReportGeneration, processor: KIAProcessor) -> None:
        """Replaces the best model, whole or not at all.

        Raises:
            RunError: The disk is full or not writable; the model before is untouched.
        """
        partial = self.path / ".model.partial"
        old = self.path / ".model.old"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            model.save_pretrained(partial)
            processor.save_pretrained(partial)
            shutil.rmtree(old, ignore_errors=True)
            if self.model_folder.exists():
                self.model_folder.rename(old)
            partial.rename(self.model_folder)
        except Exception as error:
            # safetensors reports a full disk with its own error class
            shutil.rmtree(partial, ignore_errors=True)
            if old.exists() and not self.model_folder.exists():
                old.rename(self.model_folder)
            raise RunError(f"cannot save the model in {self.path}: {error}") from error
        shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Unlocks the folder."""
        self._lock.close()

    def _describe(self, config: RunConfig, dataset: PreparedDataset) -> None:
        record = {
            "config": config.model_dump(),
            "data": {"path": str(dataset.path), "hash": dataset.info["content_hash"]},
            "environment": {
                "kia": kia.__version__,
                "torch": str(torch.__version__),
                "transformers": transformers.__version__,
                "python": platform.python_version(),
                "threads": config.train.threads or torch.get_num_threads(),
            },
        }
        partial = self.path / ".run.yaml"
        partial.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
        partial.rename(self.path / "run.yaml")

    def _described(self) -> dict[str, Any]:
        try:
            return yaml.safe_load((self.path / "run.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise RunError(f"{self.path / 'run.yaml'} cannot be read: {error}") from error

    def _check(self, config: RunConfig, dataset: PreparedDataset) -> None:
        before = self._described()
        difference = first_difference(before["config"], config.model_dump())
        if difference:
            raise RunError(
                f"{self.path} was started with {difference}; resume with the configuration it has, "
                "or choose another --out"
            )
        if before["data"]["hash"] != dataset.info["content_hash"]:
            raise RunError(
                f"{self.path} was started on other data ({before['data']['path']}); resume with "
                "those, or choose another --out"
            )


def first_difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str | None:
    """The first key whose value differs, in words; None if the trees are equal."""
    for key in [*before, *(k for k in now if k not in before)]:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found = first_difference(old, new, f"{prefix}{key}.")
            if found:
                return found
        elif old != new:
            return f"{prefix}{key}: {old} (now {new})"
    return None
