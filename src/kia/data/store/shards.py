"""The files of images of a data set, read piece by piece.

Read, not mapped into memory: a file that is cut off meanwhile is an error then, and not the end of
the process by SIGBUS.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kia.data.store.description import damaged
from kia.files.regular import open_file

Pixels = npt.NDArray[np.uint8]
_MOST_OPEN = 128


class ImageShards:
    """The images of a data set by shard and place; the files last used stay open.

    Args:
        folder: Of the data set.
        shards: As dataset.json lists them.
        side: Pixels a side, S.
    """

    def __init__(self, folder: Path, shards: Sequence[Mapping[str, Any]], side: int) -> None:
        self._folder, self._shards, self._side = folder, shards, side
        self._open: OrderedDict[int, tuple[BufferedReader, int]] = OrderedDict()

    def __del__(self) -> None:
        for file, _ in self._open.values():
            file.close()

    def read(self, number: int, first: int, into: Pixels) -> None:
        """Reads images that follow each other.

        Args:
            number: Of the shard.
            first: Of the images, in the shard.
            into: uint8 (n, S, S), in one piece; is overwritten.

        Raises:
            DataError: There are not so many, or the file is not as it was written.
        """
        shard = self._shards[number]
        if first + len(into) > shard["images"]:
            raise damaged(self._folder, f"a study has images beyond those of {shard['file']}")
        try:
            file, start = self._file(number)
            place, rest = start + first * self._side**2, into.data.cast("B")
            while len(rest) and (count := os.preadv(file.fileno(), [rest], place)):
                place, rest = place + count, rest[count:]
        except OSError as error:
            raise damaged(self._folder, f"{shard['file']}: {error.strerror}") from error
        if len(rest):
            raise damaged(self._folder, f"{shard['file']} was cut off while it was read")

    def _file(self, number: int) -> tuple[BufferedReader, int]:
        """A shard, opened, and where its images begin."""
        if number not in self._open:
            file = open_file(self._folder / self._shards[number]["file"], follow=False)
            try:
                self._open[number] = file, self._start(number, file)
            except BaseException:
                file.close()
                raise
            if len(self._open) > _MOST_OPEN:
                _, (oldest, _) = self._open.popitem(last=False)
                oldest.close()
        self._open.move_to_end(number)
        return self._open[number]

    def _start(self, number: int, file: BufferedReader) -> int:
        """Where the images begin in a .npy file that holds just them."""
        shape = (self._shards[number]["images"], self._side, self._side)
        name = self._shards[number]["file"]
        try:
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("another version of .npy")
            found, by_columns, kind = np.lib.format.read_array_header_1_0(file)
        except OSError:
            raise
        except Exception as error:  # numpy lets the header be parsed as Python, which raises a lot
            raise damaged(self._folder, f"{name}: {' '.join(str(error).split())[:200]}") from error
        if kind != np.uint8 or found != shape or by_columns:
            raise damaged(self._folder, f"{name} holds {kind} {found} instead of uint8 {shape}")
        return file.tell()
