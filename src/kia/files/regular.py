"""Regular files, opened without waiting and read up to a limit; nothing else is opened."""

import errno
import hashlib
import io
import os
import stat
from pathlib import Path

MOST_BYTES = 4 << 20
"""Of a JSON document; parsed, it may take 20 times that."""
MOST_TABLE = 1 << 30
"""Bytes of a file with an entry a report or a study."""


def open_file(path: Path, *, follow: bool = True) -> io.BufferedReader:
    """Opens a regular file to read; a pipe or a device is refused, not waited for.

    Args:
        path: Of the file.
        follow: Whether its name may be a symbolic link.

    Raises:
        OSError: It is missing, cannot be opened, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ELOOP or follow:
            raise
        raise OSError(errno.ELOOP, "a symbolic link, not a file", str(path)) from None
    except ValueError as error:  # a null character, or half of one
        raise OSError(errno.EINVAL, f"not a name of a file ({error})", str(path)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def real_path(path: str | Path) -> Path:
    """A path, absolute and without symbolic links; where they lead in a circle, with them.

    Raises:
        ValueError: It holds a null character, or half of one.
    """
    return Path(os.path.realpath(path))


def sha256(path: Path) -> str:
    """The hash of a regular file; see `open_file` for the errors."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, most: int = MOST_BYTES, *, follow: bool = True) -> str:
    """The text of a regular file in UTF-8.

    Args:
        path: Of the file.
        most: Bytes that it may have.
        follow: As `open_file`.

    Raises:
        OSError: As `open_file`.
        ValueError: It is larger, or not UTF-8.
    """
    with open_file(path, follow=follow) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
