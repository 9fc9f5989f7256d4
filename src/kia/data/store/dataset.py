"""The prepared data set: one folder, memory-mapped, written atomically, read-only.

    dataset.json      format version, source, counts, image size, content hash, bytes of every file
    studies.arrow     a row a study (Arrow IPC file, uncompressed); nested fields as JSON text
    images-NNNNN.npy  uint8 (n, S, S): the images of one batch of studies.arrow
    rejects.jsonl     every input left out, with the reason

Nothing is pickled, and opening costs the same for 3,000 and for 300,000 studies.
See docs/data.md.
"""

import bisect
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kia.data.store.chunks import FORMAT, FORMAT_VERSION, SCHEMA, row_study
from kia.data.store.writer import DatasetWriter
from kia.errors import DataError
from kia.studies import SPLITS, Split, Study

__all__ = ["DatasetWriter", "PreparedDataset", "StoredTexts"]

Pixels = npt.NDArray[np.uint8]


class PreparedDataset:
    """A prepared data set, opened for reading; use `PreparedDataset.open`.

    Files are mapped on first use. Pickling keeps the path alone, so the object may travel
    to worker processes, however they are started.

    Attributes:
        path: The folder.
        info: What dataset.json says.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info
        ends = accumulate(shard["studies"] for shard in info["shards"])
        self._starts = [0, *ends][:-1]
        self._shards: dict[int, Pixels] = {}
        self._indices: dict[str, npt.NDArray[np.int64]] = {}

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the data set in a folder.

        Args:
            path: Folder that `DatasetWriter` wrote.

        Raises:
            DataError: It is missing, damaged, or of another format version.
        """
        path = Path(path).absolute()
        dataset = cls(path, _read_info(path))
        if (listed := sum(shard["studies"] for shard in dataset.info["shards"])) != len(dataset):
            raise damaged(path, f"{len(dataset)} studies are counted and {listed} listed")
        batches = dataset._reader.num_record_batches
        if batches != (expected := len(dataset.info["shards"])):
            raise damaged(path, f"studies.arrow has {batches} batches instead of {expected}")
        if not dataset._reader.schema.equals(SCHEMA):
            raise damaged(path, "studies.arrow has other columns")
        return dataset

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedDataset.open, (self.path,)

    def __len__(self) -> int:
        return sum(self.info["counts"].values())

    def __repr__(self) -> str:
        return f"PreparedDataset({str(self.path)!r}, studies={len(self)})"

    @property
    def image_size(self) -> int:
        """Side of the square images in pixels."""
        return int(self.info["image_size"])

    def indices(self, split: Split) -> npt.NDArray[np.int64]:
        """Indices of the studies of a split, in stored order."""
        if split not in SPLITS:
            raise DataError(f"no split {split!r}: use one of {', '.join(SPLITS)}")
        if split not in self._indices:
            chosen = pc.equal(self._column("split"), split).to_numpy()
            self._indices[split] = np.flatnonzero(chosen)
        return self._indices[split]

    def study(self, index: int) -> Study:
        """The study at an index, without its pixels."""
        return row_study(self.row(index))

    def row(self, index: int, columns: Sequence[str] = ()) -> dict[str, Any]:
        """What studies.arrow says about the study at an index, in all columns or in some."""
        number, position = self._place(index)
        batch = self.batch(number)
        return {
            name: batch.column(name)[position].as_py() for name in columns or batch.schema.names
        }

    def batch(self, number: int) -> pa.RecordBatch:
        """Rows of the studies whose images are in a shard."""
        try:
            return self._reader.get_batch(number)
        except (OSError, pa.ArrowException) as error:
            raise damaged(self.path, f"studies.arrow, batch {number}: {error}") from error

    def studies(self, split: Split | None = None) -> Iterator[Study]:
        """All studies, or those of one split, in stored order."""
        for index in range(len(self)) if split is None else self.indices(split):
            yield self.study(int(index))

    def pixels(self, index: int) -> Pixels:
        """Images of a study, uint8 (W, S, S): a read-only view on the file, not a copy."""
        row = self.row(index, ("first_image", "n_images"))
        first = row["first_image"]
        found = self._shard(self._place(index)[0])[first : first + row["n_images"]]
        if first < 0 or len(found) != row["n_images"]:
            raise damaged(self.path, f"study {index} has images beyond those of its shard")
        return found

    def views(self, index: int) -> tuple[str, ...]:
        """Views of the images of a study, in their order."""
        return tuple(self.row(index, ("views",))["views"])

    def reports(self, split: Split | None = None) -> "StoredTexts":
        """Raw reports of a split, in the order of `indices`, or of all studies."""
        indices = np.arange(len(self)) if split is None else self.indices(split)
        return StoredTexts(self._column("report"), indices)

    def ids(self, split: Split) -> list[str]:
        """Study ids of a split, in the order of `indices`."""
        return list(StoredTexts(self._column("id"), self.indices(split)))

    def label_sets(self, split: Split) -> Iterator[tuple[dict[str, int | None], int]]:
        """The different sets of labels in a split, and how many studies have each.

        A study without labels is not counted.
        """
        column = self._column("labels").take(pa.array(self.indices(split))).drop_null()
        for found in column.value_counts():
            yield json.loads(found["values"].as_py()), found["counts"].as_py()

    def index_of(self, id: str) -> int:
        """Index of the study with this id; DataError naming the nearest ids if there is none."""
        found = self._column("id").index(pa.scalar(id, pa.string())).as_py()
        if found < 0:
            raise DataError(f"{self.path}: no study {id!r}{self._nearest(id)}")
        return int(found)

    def rejects(self) -> list[dict[str, str]]:
        """Inputs that were left out: [{"what", "why"}]."""
        lines = (self.path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    @cached_property
    def _reader(self) -> pa.RecordBatchFileReader:
        options = pa.ipc.IpcReadOptions(use_threads=False)  # no threads to lose in a fork
        try:
            source = pa.memory_map(str(self.path / "studies.arrow"))
            return pa.ipc.open_file(source, options=options)
        except (OSError, pa.ArrowException) as error:
            raise damaged(self.path, f"studies.arrow: {error}") from error

    @cached_property
    def _table(self) -> pa.Table:
        return self._reader.read_all()

    def _column(self, name: str) -> pa.ChunkedArray:
        return self._table.column(name)

    def _place(self, index: int) -> tuple[int, int]:
        """Shard, and place in it, of a study."""
        if not 0 <= index < len(self):
            raise IndexError(f"study index {index} out of range 0…{len(self) - 1}")
        number = bisect.bisect_right(self._starts, index) - 1
        return number, int(index) - self._starts[number]

    def _shard(self, number: int) -> Pixels:
        if number not in self._shards:
            name = self.info["shards"][number]["file"]
            try:
                shard = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise damaged(self.path, f"{name}: {error}") from error
            side = self.image_size
            if shard.dtype != np.uint8 or shard.shape[1:] != (side, side):
                raise damaged(self.path, f"{name} holds {shard.dtype} {shard.shape}")
            self._shards[number] = np.asarray(shard)
        return self._shards[number]

    def _nearest(self, id: str) -> str:
        import difflib

        ids = self._column("id").to_pylist()
        near = [other for other in ids if id and other.startswith(id)][:3]
        near = near or difflib.get_close_matches(id, ids, n=3, cutoff=0.5)
        return f"; nearest: {', '.join(near)}" if near else ""


class StoredTexts(Sequence[str]):
    """Texts that are read from the file when they are asked for.

    Args:
        column: Of studies.arrow.
        indices: (n,) numbers of the studies, ascending.
    """

    def __init__(self, column: pa.ChunkedArray, indices: npt.NDArray[np.int64]) -> None:
        self._column, self._indices = column, indices

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return str(self._column[int(self._indices[place])].as_py())

    def __iter__(self) -> Iterator[str]:
        start = 0
        for chunk in self._column.chunks:
            first, end = np.searchsorted(self._indices, (start, start + len(chunk)))
            yield from chunk.take(pa.array(self._indices[first:end] - start)).to_pylist()
            start += len(chunk)


def _read_info(path: Path) -> dict[str, Any]:
    """dataset.json, with the version and the size of every file checked."""
    if not path.is_dir():
        raise DataError(f"{path}: no such data set; prepare one with `kia data`")
    try:
        info = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is not a prepared data set: it has no dataset.json") from None
    except (OSError, ValueError) as error:
        raise damaged(path, f"dataset.json: {error}") from error
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise DataError(f"{path} is not a prepared data set: dataset.json is something else")
    if info.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: data set of format version {info.get('format_version')}, this kia reads "
            f"version {FORMAT_VERSION}; prepare it again"
        )
    needed = {"counts", "image_size", "content_hash", "shards", "files", "knowledge"}
    if missing := needed - info.keys():
        raise damaged(path, f"dataset.json lacks {', '.join(sorted(missing))}")
    _check_files(path, info["files"])
    return info


def _check_files(path: Path, files: Mapping[str, int]) -> None:
    for name, size in files.items():
        try:
            found = (path / name).stat().st_size
        except OSError as error:
            raise damaged(path, f"{name}: {error.strerror}") from error
        if found != size:
            raise damaged(path, f"{name} has {found} bytes instead of {size}")


def damaged(path: Path, what: str) -> DataError:
    """The error that a data set is not as it was written."""
    return DataError(f"{path}: damaged data set ({what}); prepare it again")
