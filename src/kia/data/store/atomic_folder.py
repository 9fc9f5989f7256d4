"""The hidden folder in which a data set grows, and how it takes its place."""

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kia.data.store.description import OWN_FILES
from kia.errors import DataError
from kia.files.plain import read_json

_LOCK = "lock"
_TO_LOCK = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RECIPE = "recipe.json"
_DATASET = "dataset"


class WorkFolder:
    """`.NAME.preparing` beside a data set NAME; locked from creation to `close` or `discard`.

    It holds `recipe.json`, finished chunks, and `dataset/`, which becomes the data set.

    Attributes:
        path: The folder.
        dataset: The data set to be.

    Raises:
        DataError: Another process works in it.
        OSError: It cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.path = hidden(out, "preparing")
        self.dataset = self.path / _DATASET
        if self.path.is_symlink():
            raise DataError(f"{self.path} is a symbolic link, which is not followed; remove it")
        while True:  # until the folder that is locked is the one that bears the name
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.fdopen(os.open(self.path / _LOCK, _TO_LOCK, 0o666), "a")
            try:
                # a POSIX lock: worker processes that outlive a killed parent do not inherit it
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._lock.fileno()), (self.path / _LOCK).stat()):
                    return
            except FileNotFoundError:
                pass
            except OSError as error:
                self._lock.close()
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                raise DataError(f"{out} is being prepared by another process") from error
            self._lock.close()

    def begin(self, recipe: Mapping[str, Any], *, resumable: bool, overwrite: bool) -> None:
        """Keep what an unfinished preparation by the same recipe left, or start anew.

        Args:
            recipe: What decides the content.
            resumable: Whether chunks are worth keeping.
            overwrite: Drop an unfinished preparation by another recipe.

        Raises:
            DataError: There is one by another recipe, or the data set is there already; the
                folder is closed, and what is in it stays.
        """
        try:
            self._begin({**recipe, "resumable": resumable}, overwrite)
        except BaseException:
            if self._has_chunks():
                self.close()
            else:
                self.discard()
            raise

    def _begin(self, new: Mapping[str, Any], overwrite: bool) -> None:
        replaced = hidden(self._out, "replaced")
        if replaced.exists() and not self._out.exists():
            replaced.rename(self._out)  # a kill came between two renames
        refuse_occupied(self._out, overwrite)
        recipe = json.loads(json.dumps(new))
        old = self._recipe()
        started = self.dataset.is_dir() and self._has_chunks()
        if started and old == recipe and recipe["resumable"]:
            _refuse_links(self.dataset)
            return
        if started and old.get("resumable") and not overwrite:
            how = difference(old, recipe, recipe)
            raise DataError(
                f"{self._out}: an unfinished preparation with {how} is in {self.path.name}; "
                "finish it, or add --overwrite to start anew"
            )
        self.clear()
        self.dataset.mkdir()
        partial = self.path / f".{_RECIPE}"
        partial.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
        partial.replace(self.path / _RECIPE)

    def clear(self) -> None:
        """Remove all but the lock."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()

    def publish(self, *, overwrite: bool) -> None:
        """Put the data set in its place, read-only, and remove this folder."""
        refuse_occupied(self._out, overwrite)
        _refuse_links(self.dataset)
        for path in self.dataset.iterdir():
            path.chmod(path.stat().st_mode & ~0o222)
        fsync(self.dataset)
        old = hidden(self._out, "replaced")
        if self._out.exists():
            shutil.rmtree(old, ignore_errors=True)
            if any(self._out.iterdir()):
                self._out.rename(old)
        try:
            self.dataset.rename(self._out)
        except OSError:
            if old.exists():
                old.rename(self._out)
            raise
        fsync(self._out.parent)
        shutil.rmtree(old, ignore_errors=True)
        self.discard()

    def discard(self) -> None:
        """Remove the folder, unless it is closed; what cannot be removed stays."""
        if self._lock.closed:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Leave the folder as it is."""
        self._lock.close()

    def _has_chunks(self) -> bool:
        return any(self.path.glob("chunk-*.arrow"))

    def _recipe(self) -> dict[str, Any]:
        try:
            found = read_json(self.path / _RECIPE, follow=False)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def difference(old: Mapping[str, Any], new: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of the named things in which two recipes differ, in words; "" if none."""
    name = next((name for name in names if old.get(name) != new.get(name)), "")
    before, now = old.get(name), new.get(name)
    if isinstance(before, dict) and isinstance(now, dict):
        return difference(before, now, {**before, **now})
    if name == "inputs":
        return "other contents of its tables, or other ids"
    if not name:
        return ""
    return f"{name.replace('_', ' ')} {_shown(before)} instead of {_shown(now)}"


def _shown(value: Any) -> str:
    """A value for an error line."""
    return " ".join(str(value).split())[:80]


def refuse_occupied(out: Path, overwrite: bool) -> None:
    """DataError if `out` holds anything but a data set that may be replaced."""
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out} is a file; choose another folder")
    present = {path.name for path in out.iterdir()}
    if not present:
        return
    if "dataset.json" not in present:
        raise DataError(f"{out} is not empty and not a data set; choose another folder")
    if not overwrite:
        raise DataError(f"{out} already holds a data set; add --overwrite to replace it")
    if foreign := present - _listed_files(out):
        raise DataError(
            f"{out} also holds {min(foreign)}, which is not part of the data set; "
            "move it away before overwriting"
        )


def _listed_files(folder: Path) -> set[str]:
    try:
        files: Iterable[str] = dict(read_json(folder / "dataset.json", follow=False)["files"])
    except (OSError, ValueError, KeyError, TypeError):
        files = [path.name for path in folder.glob("images-*.npy")]
    return OWN_FILES | set(files)


def _refuse_links(folder: Path) -> None:
    """DataError unless all in a folder are files: what a link leads to is not part of it."""
    for path in folder.iterdir():
        if not stat.S_ISREG(path.lstat().st_mode):
            raise DataError(f"{path} is not a regular file; add --overwrite to start anew")


def hidden(out: Path, what: str) -> Path:
    """A hidden sibling of a folder."""
    return out.with_name(f".{out.name}.{what}")


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
