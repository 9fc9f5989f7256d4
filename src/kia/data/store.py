"""The prepared data set: one folder, memory-mapped, written atomically.

    dataset.json      format version, source, counts, image size, content hash, bytes of every file
    studies.arrow     a row a study (Arrow IPC file, uncompressed); nested fields as JSON text
    images-NNNNN.npy  uint8 (n, S, S); the images of one study never lie in two shards
    rejects.jsonl     every input left out, with the reason

Nothing is pickled, and opening costs the same for 3,000 and for 300,000 studies.
See docs/data.md.
"""

import bisect
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kia.data.store_writer import (
    FORMAT,
    FORMAT_VERSION,
    ROWS_PER_BATCH,
    DatasetWriter,
    hash_study,
)
from kia.errors import DataError
from kia.studies import SPLITS, Split, Study, StudyImage

__all__ = ["DatasetWriter", "PreparedDataset"]

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
        ends = accumulate(shard["images"] for shard in info["shards"])
        self._shard_starts = [0, *ends][:-1]
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
        batches = dataset._reader.num_record_batches
        if batches != -(-len(dataset) // ROWS_PER_BATCH):
            raise _damaged(path, f"studies.arrow has {batches} batches for {len(dataset)} studies")
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
            column = self._column("split").to_numpy(zero_copy_only=False)
            self._indices[split] = np.flatnonzero(column == split).astype(np.int64)
        return self._indices[split]

    def study(self, index: int) -> Study:
        """The study at an index, without its pixels."""
        row = self._row(index, self._reader.schema.names)
        images = zip(row["paths"], row["views"], strict=True)
        return Study(
            id=row["id"],
            split=row["split"],
            images=tuple(StudyImage(path, view) for path, view in images),
            report=row["report"],
            sections=json.loads(row["sections"]),
            labels=json.loads(row["labels"]) if row["labels"] is not None else None,
            graph=json.loads(row["graph"]) if row["graph"] is not None else None,
            landmarks=tuple(row["landmarks"]) if row["landmarks"] is not None else None,
        )

    def studies(self, split: Split | None = None) -> Iterator[Study]:
        """All studies, or those of one split, in stored order."""
        for index in range(len(self)) if split is None else self.indices(split):
            yield self.study(int(index))

    def pixels(self, index: int) -> Pixels:
        """Images of a study, uint8 (W, S, S): a read-only view on the file, not a copy."""
        row = self._row(index, ("first_image", "n_images"))
        first, count = row["first_image"], row["n_images"]
        number = bisect.bisect_right(self._shard_starts, first) - 1
        start = first - self._shard_starts[number]
        return self._shard(number)[start : start + count]

    def views(self, index: int) -> tuple[str, ...]:
        """Views of the images of a study, in their order."""
        return tuple(self._row(index, ("views",))["views"])

    def reports(self, split: Split) -> list[str]:
        """Raw reports of a split, in the order of `indices`."""
        return self._column("report").take(pa.array(self.indices(split))).to_pylist()

    def ids(self, split: Split) -> list[str]:
        """Study ids of a split, in the order of `indices`."""
        return self._column("id").take(pa.array(self.indices(split))).to_pylist()

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

    def content_hash(self) -> str:
        """Hash of what is stored now; equals info["content_hash"] unless something changed."""
        digest = hashlib.sha256()
        for index in range(len(self)):
            hash_study(digest, self.study(index), self.pixels(index))
        return digest.hexdigest()

    @cached_property
    def _reader(self) -> pa.RecordBatchFileReader:
        options = pa.ipc.IpcReadOptions(use_threads=False)  # no threads to lose in a fork
        try:
            source = pa.memory_map(str(self.path / "studies.arrow"))
            return pa.ipc.open_file(source, options=options)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self.path, f"studies.arrow: {error}") from error

    @cached_property
    def _table(self) -> pa.Table:
        return self._reader.read_all()

    def _column(self, name: str) -> pa.ChunkedArray:
        return self._table.column(name)

    def _row(self, index: int, columns: Any) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"study index {index} out of range 0…{len(self) - 1}")
        batch, row = divmod(int(index), ROWS_PER_BATCH)
        record = self._reader.get_batch(batch)
        return {name: record.column(name)[row].as_py() for name in columns}

    def _shard(self, number: int) -> Pixels:
        if number not in self._shards:
            name = self.info["shards"][number]["file"]
            try:
                shard = np.load(self.path / name, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise _damaged(self.path, f"{name}: {error}") from error
            side = self.image_size
            if shard.dtype != np.uint8 or shard.shape[1:] != (side, side):
                raise _damaged(self.path, f"{name} holds {shard.dtype} {shard.shape}")
            self._shards[number] = np.asarray(shard)
        return self._shards[number]

    def _nearest(self, id: str) -> str:
        import difflib

        ids = self._column("id").to_pylist()
        near = [other for other in ids if id and other.startswith(id)][:3]
        near = near or difflib.get_close_matches(id, ids, n=3, cutoff=0.5)
        return f"; nearest: {', '.join(near)}" if near else ""


def _read_info(path: Path) -> dict[str, Any]:
    """dataset.json, with the version and the size of every file checked."""
    if not path.is_dir():
        raise DataError(f"{path}: no such data set; prepare one with `kia data`")
    try:
        info = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is not a prepared data set: it has no dataset.json") from None
    except (OSError, ValueError) as error:
        raise _damaged(path, f"dataset.json: {error}") from error
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise DataError(f"{path} is not a prepared data set: dataset.json is something else")
    if info.get("format_version") != FORMAT_VERSION:
        raise DataError(
            f"{path}: data set of format version {info.get('format_version')}, this kia reads "
            f"version {FORMAT_VERSION}; prepare it again"
        )
    needed = {"counts", "image_size", "content_hash", "shards", "files"}
    if missing := needed - info.keys():
        raise _damaged(path, f"dataset.json lacks {', '.join(sorted(missing))}")
    _check_files(path, info["files"])
    return info


def _check_files(path: Path, files: Mapping[str, int]) -> None:
    for name, size in files.items():
        try:
            found = (path / name).stat().st_size
        except OSError as error:
            raise _damaged(path, f"{name}: {error.strerror}") from error
        if found != size:
            raise _damaged(path, f"{name} has {found} bytes instead of {size}")


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: damaged data set ({what}); prepare it again")
