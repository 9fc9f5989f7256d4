"""The prepared data set: one folder, opened at once, written atomically, read-only.

    dataset.json      format version, source, counts, image size, content hash, bytes of every file
    studies.arrow     a row a study (Arrow IPC file, uncompressed); nested fields as JSON text
    images-NNNNN.npy  uint8 (n, S, S): the images of one batch of studies.arrow
    rejects.jsonl     every input left out, with the reason

Nothing is pickled, and opening costs the same for 3,000 and for 300,000 studies. What a file holds
is checked when it is first read, so that a damaged one is an error in one line. See docs/data.md.
"""

import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kia.data.store.chunks import RejectLine
from kia.data.store.description import damaged, read_description
from kia.data.store.npy_file import Rows
from kia.data.store.rows import row_study, stored_labels
from kia.data.store.shards import ImageShards
from kia.data.store.table import StoredTexts, StudyTable
from kia.data.store.writer import DatasetWriter
from kia.errors import DataError
from kia.files.plain import json_lines
from kia.files.regular import MOST_TABLE, read_text
from kia.studies import SPLITS, Split, Study

__all__ = ["DatasetWriter", "PreparedDataset", "StoredTexts"]


class PreparedDataset:
    """A prepared data set, opened for reading; use `PreparedDataset.open`.

    Files are opened on first use. Pickling keeps the path alone, so the object may travel
    to worker processes, however they are started.

    Attributes:
        path: The folder.
        info: What dataset.json says.
    """

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path = path
        self.info = info
        studies = [shard["studies"] for shard in info["shards"]]
        self._starts = [0, *accumulate(studies)][:-1]
        self._table = StudyTable(path, studies)
        self._shards = ImageShards(path, info["shards"], self.image_size)
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
        return cls(path, read_description(path))

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
            chosen = pc.equal(self._table.column("split"), split).to_numpy()
            self._indices[split] = np.flatnonzero(chosen)
        return self._indices[split]

    def reported(self, split: Split) -> npt.NDArray[np.int64]:
        """Those of `indices` whose studies have a report, not labels alone."""
        indices = self.indices(split)
        texts = self._table.column("report").take(pa.array(indices))
        return indices[pc.not_equal(pc.utf8_trim_whitespace(texts), "").to_numpy()]

    def study(self, index: int) -> Study:
        """The study at an index, without its pixels; DataError if a row is none."""
        try:
            return row_study(self.row(index))
        except ValueError as error:
            raise DataError(f"{self.path}: {error}") from None

    def row(self, index: int, columns: Sequence[str] = ()) -> dict[str, Any]:
        """What studies.arrow says about the study at an index, in all columns or in some."""
        number, position = self._place(index)
        batch = self.batch(number)
        return {
            name: batch.column(name)[position].as_py() for name in columns or batch.schema.names
        }

    def batch(self, number: int) -> pa.RecordBatch:
        """Rows of the studies whose images are in a shard."""
        return self._table.batch(number)

    def studies(self, split: Split | None = None) -> Iterator[Study]:
        """All studies, or those of one split, in stored order."""
        for index in range(len(self)) if split is None else self.indices(split):
            yield self.study(int(index))

    def pixels(self, index: int) -> Rows:
        """Images of a study, uint8 (W, S, S), in an array of their own."""
        place = self.row(index, ("first_image", "n_images"))
        into = np.empty((place["n_images"], self.image_size, self.image_size), np.uint8)
        self._shards.read(self._place(index)[0], place["first_image"], into)
        return into

    def read_pixels(self, index: int, into: Rows) -> None:
        """Reads the images of a study into the first of `into`, uint8 (W or more, S, S)."""
        place = self.row(index, ("first_image", "n_images"))
        images = into[: place["n_images"]]
        self._shards.read(self._place(index)[0], place["first_image"], images)

    def views(self, index: int) -> tuple[str, ...]:
        """Views of the images of a study, in their order."""
        return tuple(self.row(index, ("views",))["views"])

    def reports(self, split: Split | None = None, *, written: bool = False) -> "StoredTexts":
        """Raw reports of a split, in the order of `indices`, or of all studies.

        Args:
            split: None for all.
            written: Leave out the empty ones of studies that have none (in a split).
        """
        if split is None:
            return StoredTexts(self._table, "report", np.arange(len(self)))
        indices = self.reported(split) if written else self.indices(split)
        return StoredTexts(self._table, "report", indices)

    def ids(self, split: Split) -> list[str]:
        """Study ids of a split, in the order of `indices`."""
        return list(StoredTexts(self._table, "id", self.indices(split)))

    def label_sets(
        self, split: Split, *, reported: bool | None = None
    ) -> Iterator[tuple[dict[str, int | None], int]]:
        """The different sets of labels in a split, and how many studies have each.

        A study without labels is not counted.

        Args:
            split: Which.
            reported: Count studies with a report alone, or those without one; None counts both.
        """
        indices = self.indices(split)
        if reported is not None:
            among = np.isin(indices, self.reported(split))
            indices = indices[among if reported else ~among]
        column = self._table.column("labels").take(pa.array(indices)).drop_null()
        for found in column.value_counts():
            try:
                yield stored_labels(found["values"].as_py()), found["counts"].as_py()
            except ValueError as error:
                raise DataError(f"{self.path}: {error}") from None

    def index_of(self, id: str) -> int:
        """Index of the study with this id; DataError naming the nearest ids if there is none."""
        try:
            found = self._table.column("id").index(pa.scalar(id, pa.string())).as_py()
        except UnicodeEncodeError:  # half of a character, which no stored id has
            found = -1
        if found < 0:
            raise DataError(f"{self.path}: no study {id!r}{self._nearest(id)}")
        return int(found)

    def rejects(self) -> list[dict[str, str]]:
        """Inputs that were left out: [{"what", "why"}]."""
        try:
            text = read_text(self.path / "rejects.jsonl", MOST_TABLE, follow=False)
            return [RejectLine.of(line).model_dump() for line in json_lines(text)]
        except (OSError, ValueError) as error:
            raise damaged(self.path, f"rejects.jsonl: {error}") from error

    def _place(self, index: int) -> tuple[int, int]:
        """Shard, and place in it, of a study."""
        if not 0 <= index < len(self):
            raise IndexError(f"study index {index} out of range 0…{len(self) - 1}")
        number = bisect.bisect_right(self._starts, index) - 1
        return number, int(index) - self._starts[number]

    def _nearest(self, id: str) -> str:
        import difflib

        ids = self._table.column("id").to_pylist()
        near = [other for other in ids if id and other.startswith(id)][:3]
        near = near or difflib.get_close_matches(id, ids, n=3, cutoff=0.5)
        return f"; nearest: {', '.join(near)}" if near else ""
