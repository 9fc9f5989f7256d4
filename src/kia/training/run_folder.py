"""The run folder: configuration, lock, log, checkpoints and the best model."""

import errno
import fcntl
import json
import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TextIO

import torch
import yaml

import kia
from kia.config import MOST_THREADS, RunConfig
from kia.data.store.atomic_folder import fsync
from kia.data.store.dataset import PreparedDataset
from kia.errors import RunError
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.training.checkpoint import clear_hidden
from kia.training.precision import autocast_mode
from kia.training.run_schema import RunDescription, read_description
from kia.training.warm_start import weights_hash

LOCK = "run.lock"
HALF = ".run.yaml"  # run.yaml while it is written


class RunFolder:
    """A run on disk; it stays locked from `open` to `close`."""

    def __init__(self, path: Path) -> None:
        """The run at a path, to read; `open` locks it and may write."""
        self.path = path
        self._is_new = self._made_folder = False
        self._lock: TextIO | None = None

    def _take_lock(self) -> None:
        try:
            self._made_folder = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / LOCK).open("a+")
        except OSError as error:
            raise RunError(f"cannot write the run folder {self.path}: {error}") from error
        try:
            # a POSIX lock: loader processes that outlive a killed run do not inherit it, and
            # network file systems pass it on to other machines
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "another process"
            self.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise RunError(f"cannot lock the run folder {self.path}: {error}") from error
            raise RunError(
                f"{self.path} is in use by {owner}; wait for it, or choose another --out"
            ) from error
        self._lock.truncate(0)
        os.write(self._lock.fileno(), f"process {os.getpid()} on {platform.node()}".encode())

    @classmethod
    def open(
        cls,
        path: Path,
        config: RunConfig,
        dataset: PreparedDataset,
        resume: bool,
        start: Path | None = None,
    ) -> Self:
        """Starts a run folder, or continues one.

        Args:
            path: Of the run.
            config: Of the run.
            dataset: To train on.
            resume: Whether it may hold a run.
            start: The model to start from; a run that is continued need not be told again.

        Raises:
            RunError: The folder cannot be written, or holds a run and `resume` is off, or the run
                in it has another configuration, data set or start.
            ModelError: `start` has no weights.
        """
        started = (path / "run.yaml").is_file()
        if started and not resume:
            raise RunError(
                f"{path} holds a run: continue it with --resume, or choose another --out"
            )
        # a process killed before it wrote run.yaml may leave the lock and a hidden file
        if not started and path.is_dir() and {p.name for p in path.iterdir()} - {LOCK, HALF}:
            raise RunError(f"{path} is not empty and no run; choose another --out")
        run = cls(path)
        try:
            run._take_lock()
            if started:
                run._check(config, dataset, start)
            else:
                run._is_new = True
                run._describe(config, dataset, start)
        except BaseException as error:
            run.discard_if_new()
            run.close()
            if isinstance(error, OSError):  # a full disk
                raise RunError(f"cannot write the run folder {path}: {error}") from error
            raise
        return run

    def discard_if_new(self) -> None:
        """Removes what a run that could not even start has written."""
        if not self._is_new:
            return
        for name in ("processor", ".processor.partial"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in ("run.yaml", HALF, LOCK):
            (self.path / name).unlink(missing_ok=True)
        if self._made_folder:
            self.path.rmdir()

    def tidy(self) -> None:
        """Repairs what a killed process left half-done."""
        clear_hidden(self.checkpoint_folder)
        old = self.path / ".model.old"
        if old.exists() and not self.model_folder.exists():
            old.rename(self.model_folder)
        shutil.rmtree(self.path / ".model.partial", ignore_errors=True)

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
    def threads(self) -> int:
        """CPU threads that the run was started with."""
        threads = self._described().environment.get("threads")
        if type(threads) is not int or not 0 < threads <= MOST_THREADS:
            raise RunError(f"{self.path / 'run.yaml'} is damaged: environment.threads")
        return threads

    def start(self) -> Path | None:
        """The model that the run starts from; None if it starts from random or tower weights.

        Raises:
            RunError: Its weights are no longer those that run.yaml names.
            ModelError: They are gone.
        """
        recorded = self._described().start
        if recorded is None:
            return None
        source = Path(recorded.path)
        if weights_hash(source) != recorded.hash:
            raise RunError(f"the weights of {source} have changed since {self.path} was begun")
        return source

    def log(self, **entry: Any) -> None:
        """Appends a line to the log; only the process that holds the lock does.

        Raises:
            RunError: The disk is full or not writable; the checkpoints are untouched.
        """
        if self._lock is None:
            return
        try:
            with self.log_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot write {self.log_file}: {error}. Make room and continue with --resume"
            ) from error

    def log_size(self) -> int:
        """Bytes in the log."""
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def cut_log(self, size: int) -> None:
        """Drops the lines that were written after the checkpoint that is continued from."""
        if self._lock is not None and self.log_size() > size:
            os.truncate(self.log_file, size)

    def save_model(self, model: KIAModel, processor: KIAProcessor) -> None:
        """Replaces the best model, whole or not at all.

        Raises:
            RunError: The disk is full or not writable; the model before is untouched.
        """
        partial = self.path / ".model.partial"
        old = self.path / ".model.old"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            model.save_pretrained(partial)
            (partial / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone
            processor.save_pretrained(partial)
            shutil.rmtree(old, ignore_errors=True)
            if self.model_folder.exists():
                self.model_folder.rename(old)
            for file in partial.iterdir():
                fsync(file)
            partial.rename(self.model_folder)
            fsync(self.path)
        except Exception as error:
            # safetensors reports a full disk with its own error class
            shutil.rmtree(partial, ignore_errors=True)
            if old.exists() and not self.model_folder.exists():
                old.rename(self.model_folder)
            raise RunError(f"cannot save the model in {self.path}: {error}") from error
        shutil.rmtree(old, ignore_errors=True)

    def close(self) -> None:
        """Unlocks the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _describe(self, config: RunConfig, dataset: PreparedDataset, start: Path | None) -> None:
        record = {
            "config": config.model_dump(),
            "data": {"path": str(dataset.path), "hash": dataset.info["content_hash"]},
            "environment": {
                "kia": kia.__version__,
                "torch": str(torch.__version__),
                "transformers": version("transformers"),
                "python": platform.python_version(),
                "precision": autocast_mode(config.train.precision),
                "threads": config.train.threads or torch.get_num_threads(),
            },
        }
        if start:
            record["from"] = {"path": str(start.absolute()), "hash": weights_hash(start)}
        partial = self.path / HALF
        partial.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
        partial.rename(self.path / "run.yaml")

    def _described(self) -> RunDescription:
        return read_description(self.path / "run.yaml")

    def _check(self, config: RunConfig, dataset: PreparedDataset, start: Path | None) -> None:
        before = self._described()
        difference = first_difference(_completed(before.config), config.model_dump())
        if difference:
            raise RunError(
                f"{self.path} was started with {difference}; resume with the configuration it has, "
                "or choose another --out"
            )
        if before.data.hash != dataset.info["content_hash"]:
            raise RunError(
                f"{self.path} was started on other data ({before.data.path}); resume with "
                "those, or choose another --out"
            )
        origin = before.start.path if before.start else None
        if start and str(start.absolute()) != origin:
            raise RunError(
                f"{self.path} was started from {origin or 'random or tower weights'}; leave --from "
                "out, or choose another --out"
            )


def _completed(config: Any) -> Any:
    """A configuration of an earlier version with the defaults of fields that it did not have."""
    try:
        return RunConfig.model_validate(config).model_dump()
    except ValueError:
        return config  # a field that is gone: the comparison names it


def first_difference(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str | None:
    """The first key whose value differs, in words; None if the trees are equal."""
    for key in [*before, *(k for k in now if k not in before)]:
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found = first_difference(old, new, f"{prefix}{key}.")
            if found:
                return found
        elif old != new:
            return f"{prefix}{_shown(key)}: {_shown(old)} (now {_shown(new)})"
    return None


def _shown(value: Any) -> str:
    """A value for an error line."""
    return " ".join(str(value).split())[:80]
