"""The files of images of a data set; those that were used last stay open."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kia.data.store.description import damaged
from kia.data.store.npy_file import NpyFile, Rows

_MOST_OPEN = 128


class ImageShards:
    """The images of a data set by shard and place.

    Args:
        folder: Of the data set.
        shards: As dataset.json lists them.
        side: Pixels a side, S.
    """

    def __init__(self, folder: Path, shards: Sequence[Mapping[str, Any]], side: int) -> None:
        self._folder, self._shards, self._side = folder, shards, side
        self._open: OrderedDict[int, NpyFile] = OrderedDict()

    def read(self, number: int, first: int, into: Rows) -> None:
        """Reads images that follow each other.

        Args:
            number: Of the shard.
            first: Of the images, in the shard.
            into: uint8 (n, S, S), in one piece; is overwritten.

        Raises:
            DataError: There are not so many, or the file is not as it was written.
        """
        self._file(number).read(first, into)

    def _file(self, number: int) -> NpyFile:
        if number not in self._open:
            shard = self._shards[number]
            file = NpyFile(self._folder / shard["file"])
            shape = (shard["images"], self._side, self._side)
            if file.shape != shape:
                raise damaged(self._folder, f"{shard['file']} holds {file.shape}, not {shape}")
            self._open[number] = file
            if len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]
