"""The folder around a data set: whether it may be replaced, and what lies hidden beside it."""

import json
import os
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

from kia.errors import DataError

OWN_FILES = {"dataset.json", "studies.arrow", "rejects.jsonl"}


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
        files: Iterable[str] = json.loads((folder / "dataset.json").read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        files = [path.name for path in folder.glob("images-*.npy")]
    return OWN_FILES | set(files)


def hidden(out: Path, what: str) -> Path:
    """A hidden sibling of a folder."""
    return out.with_name(f".{out.name}.{what}")


def remove_abandoned(out: Path) -> None:
    """Remove what killed preparations of the same folder on this machine left behind."""
    prefix = hidden(out, f"preparing-{socket.gethostname()}-").name
    for folder in out.parent.iterdir():
        pid = folder.name.removeprefix(prefix)
        if folder.name.startswith(prefix) and pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def fsync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
