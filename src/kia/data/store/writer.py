"""Writes a prepared data set, chunk by chunk, into a hidden sibling folder that takes its place."""

import errno
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import kia
from kia.data.readers.inputs import Part
from kia.data.store.atomic_folder import WorkFolder, fsync, refuse_occupied
from kia.data.store.chunks import Chunk, Tally, assemble
from kia.data.store.description import is_side_file
from kia.data.store.npy_writer import NpyWriter
from kia.data.store.rows import SCHEMA, row_digest, study_row
from kia.errors import DataError
from kia.files.regular import real_path
from kia.imaging.resize import Resize
from kia.imaging.workers import Reject
from kia.studies import SPLITS, VIEWS, Study

CHUNK_INPUTS = 1024
"""A chunk is finished when it covers so many inputs,"""
CHUNK_BYTES = 128 << 20
"""or so many bytes of images."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DatasetWriter:
    """Context manager that writes a prepared data set; it appears at the end, as a whole.

    A call of `add` or `reject` stands for one input. With `inputs`, what is finished outlives
    a failure, an interruption or a kill: a writer with the same arguments
    enters with `done` inputs behind it.

    Args:
        out: Folder to make. A non-empty one is refused, unless it is a data set and `overwrite`.
        image_size: Side S of the square images in pixels.
        source: Where the studies come from, for the record.
        section: Which text became the target report.
        resize: How images become square.
        overwrite: Replace the data set in `out` once the new one is complete, and drop an
            unfinished one with other arguments.
        settings: What else decides the content, for the record.
        inputs: `fingerprint` of the inputs; None if a failure is to leave nothing.
        part: Which part of the inputs this data set holds; None for all.
    """

    _images: NpyWriter | None  # these two of the chunk that is being written
    _open: Tally

    def __init__(
        self,
        out: str | Path,
        *,
        image_size: int,
        source: str,
        section: str = "report",
        resize: Resize = "squash",
        overwrite: bool = False,
        settings: Mapping[str, Any] | None = None,
        inputs: str | None = None,
        part: Part | None = None,
    ) -> None:
        self.out = real_path(out)
        refuse_occupied(self.out, overwrite)
        self.image_size = image_size
        self.resize = resize
        self._about: dict[str, Any] = {
            "kia_version": kia.__version__,
            "source": source,
            "section": section,
            "resize": resize,
            "image_size": image_size,
            "settings": dict(settings or {}),
            "part": None if part is None else str(part),
            "inputs": inputs,
        }
        self._resumable = inputs is not None
        self._overwrite = overwrite
        self._ids: set[str] = set()
        self._side: list[str] = []
        self._tally = Tally()
        self._n_chunks = 0
        self._new_chunk()

    def __enter__(self) -> Self:
        try:
            self._work = WorkFolder(self.out)
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._work.begin(self._about, resumable=self._resumable, overwrite=self._overwrite)
            for chunk in self._chunks():
                self._n_chunks += 1
                self._ids.update(chunk.rows.column("id").to_pylist())
                self._tally.include(chunk.tally)
        except OSError as error:
            self._work.close()
            raise self._failed(error) from error
        except BaseException:
            self._work.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            self._leave()
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise self._failed(error) from error

    def add(
        self, study: Study, pixels: npt.NDArray[np.uint8], rejects: Sequence[Reject] = ()
    ) -> None:
        """Append an input that became a study.

        Args:
            study: Its id must be new.
            pixels: uint8 (W, S, S), one image for each of `study.images`.
            rejects: Images that it lacks.

        Raises:
            DataError: The study is inconsistent, or the disk is full.
        """
        row = self._checked_row(study, pixels)
        try:
            if self._images is None:
                self._images = NpyWriter(self._shard, (self.image_size, self.image_size))
            self._images.append(pixels)
        except OSError as error:
            raise self._failed(error) from error
        self._rows.append(row)
        self._ids.add(study.id)
        self._open.add(study)
        self._count(rejects)

    def reject(self, *rejects: Reject) -> None:
        """Record an input that is left out, and why."""
        self._count(rejects)

    def rejects(self) -> Iterator[Reject]:
        """What has been left out so far."""
        for chunk in self._chunks():
            yield from chunk.rejects
        yield from self._rejects

    @property
    def done(self) -> int:
        """Inputs that need not be gone through again; on entering, those of an earlier attempt."""
        return self._tally.inputs if self._resumable else 0

    @property
    def counts(self) -> Counter[str]:
        """Studies so far, by split."""
        return self._tally.counts + self._open.counts

    def side_file(self, name: str) -> Path:
        """Path at which to write one more file; it must exist when the writer leaves."""
        if not is_side_file(name):
            raise ValueError(f"not a name for a side file: {name!r}")
        if name not in self._side:
            self._side.append(name)
        return self._work.dataset / name

    def _checked_row(self, study: Study, pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
        expected = (len(study.images), self.image_size, self.image_size)
        if pixels.dtype != np.uint8 or pixels.shape != expected or not study.images:
            raise DataError(
                f"study {study.id}: pixels are {pixels.dtype} {pixels.shape}, not uint8 {expected}"
            )
        if study.id in self._ids:
            raise DataError(f"study {study.id} occurs twice")
        if study.split not in SPLITS or any(i.view not in VIEWS for i in study.images):
            raise DataError(f"study {study.id}: unknown split {study.split!r} or unknown view")
        try:
            row = study_row(study, 0 if self._images is None else self._images.rows)
            row["digest"] = row_digest(row, pixels)
            pa.RecordBatch.from_pylist([row], schema=SCHEMA)
        except (TypeError, ValueError) as error:
            raise DataError(f"study {study.id} cannot be stored: {error}") from error
        return row

    def _count(self, rejects: Sequence[Reject]) -> None:
        """The end of an input, and perhaps of a chunk."""
        self._rejects += [Reject(_text(one.what), _text(one.why)) for one in rejects]
        self._open.rejects += len(rejects)
        self._open.inputs += 1
        images = 0 if self._images is None else self._images.rows
        full = (images + 2) * self.image_size**2 > CHUNK_BYTES
        if full or self._open.inputs >= CHUNK_INPUTS:
            try:
                self._finish_chunk()
            except OSError as error:
                raise self._failed(error) from error

    def _new_chunk(self) -> None:
        self._images = None
        self._rows: list[dict[str, Any]] = []
        self._rejects: list[Reject] = []
        self._open = Tally()

    def _finish_chunk(self) -> None:
        if self._images is not None:
            self._images.close()
            fsync(self._shard)
        rows = pa.RecordBatch.from_pylist(self._rows, schema=SCHEMA)
        chunk = Chunk(self._shard.name, rows, self._open, self._rejects)
        chunk.write(self._work.path / f"chunk-{self._n_chunks:05d}.arrow")
        self._tally.include(self._open)
        self._n_chunks += 1
        self._new_chunk()

    @property
    def _shard(self) -> Path:
        """Images of the chunk that is being written."""
        return self._work.dataset / f"images-{self._n_chunks:05d}.npy"

    def _chunks(self) -> Iterator[Chunk]:
        for path in sorted(self._work.path.glob("chunk-*.arrow")):
            yield Chunk.read(path)

    def _finish(self) -> None:
        if not self._ids and self._about["part"] is None:
            raise no_study(self.out, self.rejects())
        if self._open.inputs:
            self._finish_chunk()
        assemble(self._work.dataset, self._about, self._chunks(), self._side)
        self._work.publish(overwrite=self._overwrite)

    def _leave(self) -> None:
        """Keep what is finished if it is of use to another attempt."""
        try:
            if self._images is not None:
                self._images.close()
        except OSError:
            pass  # the disk may be full; what matters is that the file goes
        if self.done:
            self._shard.unlink(missing_ok=True)  # of the chunk that is not finished
            self._work.close()
        else:
            self._work.discard()

    def _failed(self, error: OSError) -> DataError:
        reason = error.strerror or str(error)
        hint = "; free some space and run again" if error.errno in _NO_ROOM else ""
        return DataError(f"{self.out}: cannot write the data set: {reason}{hint}")


def _text(text: str) -> str:
    """A text that can be stored: halves of characters become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def no_study(out: Path, rejects: Iterable[Reject]) -> DataError:
    """The error that there is nothing to store, with the first reason."""
    left_out = list(rejects)
    first = "".join(f"{reject.what}: {reject.why}" for reject in left_out[:1])
    why = f"; first of {len(left_out)} rejects: {first}" if left_out else ""
    return DataError(f"{out}: no study to store{why}")
