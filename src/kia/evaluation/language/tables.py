"""Tables of the installed pycocoevalcap, kept as memory-mapped arrays in the user's cache folder.

A table is read from the package once and written as one safetensors file, whose name holds the
hash of its source and the checksum of itself: a file that was damaged is made anew.
"""

import contextlib
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from kia.errors import DataError, require
from kia.files.regular import open_file, sha256
from kia.files.tensors import read_header

Arrays = Mapping[str, np.ndarray]

_DTYPES = {"I64": np.int64, "I32": np.int32, "I16": np.int16, "U8": np.uint8}
_BLOCK = 1 << 20


def package_file(*parts: str) -> Path:
    """A file of the installed pycocoevalcap.

    Raises:
        MissingDependency: It is not installed.
        DataError: It lacks the file.
    """
    require("pycocoevalcap", "evaluation", "scoring reports")
    import pycocoevalcap

    path = Path(next(iter(pycocoevalcap.__path__)), *parts)
    if not path.is_file():
        raise DataError(f"{path}: missing from pycocoevalcap; install version 1.2 anew")
    return path


def cached_arrays(kind: str, sources: list[Path], build: Callable[[], Arrays]) -> Arrays:
    """Arrays that are made of files, made anew only where the cache has none of these files.

    Args:
        kind: What the arrays are, with the version of their form; opens the name of the file.
        sources: The files that `build` reads.
        build: Makes the arrays: int64, int32, int16 or uint8.

    Returns:
        Name → array, memory-mapped and read-only; those of `build` where no cache can be written.
    """
    try:
        folder = cache_folder()
    except RuntimeError:  # a user without a home, as containers have
        return build()
    name = f"{kind}-{_hash_of(sources)}-"
    for found in sorted(folder.glob(f"{name}*.safetensors")):
        if found.name == f"{name}{_checksum(found)}.safetensors":
            with contextlib.suppress(OSError, ValueError):
                return _mapped(found)
        with contextlib.suppress(OSError):
            found.unlink()
    arrays = build()
    with contextlib.suppress(OSError):
        return _mapped(_written(folder, name, arrays))
    return arrays


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/kia/tables`, or `~/.cache/kia/tables`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kia" / "tables"


def _written(folder: Path, name: str, arrays: Arrays) -> Path:
    """The arrays in a file that is there whole or not at all."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}")
    os.close(handle)
    try:
        save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, temporary)
        path = folder / f"{name}{_checksum(Path(temporary))}.safetensors"
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _mapped(path: Path) -> Arrays:
    tensors = read_header(path)
    with open_file(path) as file:
        data = np.memmap(file, np.uint8, "r").view(np.ndarray)
    start = len(data) - max(tensor.data_offsets[1] for tensor in tensors.values())
    arrays = {}
    for key, tensor in tensors.items():
        begin, end = (start + offset for offset in tensor.data_offsets)
        arrays[key] = data[begin:end].view(_DTYPES[tensor.dtype]).reshape(tensor.shape)
    return arrays


def _hash_of(sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(bytes.fromhex(sha256(source)))
    return digest.hexdigest()[:16]


def _checksum(path: Path) -> str:
    value = 0
    try:
        with open_file(path) as file:
            while block := file.read(_BLOCK):
                value = zlib.crc32(block, value)
    except OSError:
        return ""
    return f"{value:08x}"
