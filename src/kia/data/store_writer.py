"""Writes a prepared data set: into a hidden sibling folder, renamed when it is complete."""

import errno
import hashlib
import json
import os
import shutil
import socket
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import kia
from kia.data.atomic_folder import OWN_FILES, fsync, hidden, refuse_occupied, remove_abandoned
from kia.data.npy_writer import ShardWriter
from kia.errors import DataError
from kia.studies import SPLITS, VIEWS, Study

FORMAT = "kia-dataset"
FORMAT_VERSION = 2
ROWS_PER_BATCH = 1024
"""Studies in one Arrow record batch (only the last one is shorter)."""

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("report", pa.string()),
        ("sections", pa.string()),
        ("labels", pa.string()),
        ("graph", pa.string()),
        ("landmarks", pa.list_(pa.string())),
        ("paths", pa.list_(pa.string())),
        ("views", pa.list_(pa.string())),
        ("first_image", pa.int64()),
        ("n_images", pa.int32()),
    ]
)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DatasetWriter:
    """Context manager that writes a prepared data set; all of it appears at the end, or nothing.

    Args:
        out: Folder to make. A non-empty one is refused, unless it is a data set and `overwrite`.
        image_size: Side S of the square images in pixels.
        source: Where the studies come from, for the record.
        section: Which text became the target report.
        resize: "squash" or "pad": how images became square.
        overwrite: Replace the data set in `out` once the new one is complete.
    """

    def __init__(
        self,
        out: str | Path,
        *,
        image_size: int,
        source: str,
        section: str = "report",
        resize: str = "squash",
        overwrite: bool = False,
    ) -> None:
        self.out = Path(out).resolve()
        refuse_occupied(self.out, overwrite)  # before a reader takes its time
        self.image_size = image_size
        self._about = {"source": source, "section": section, "resize": resize}
        self._overwrite = overwrite
        self._digest = hashlib.sha256()
        self._ids: set[str] = set()
        self.counts: Counter[str] = Counter()
        """Studies added so far, by split."""
        self._views: Counter[str] = Counter()
        self._rows: list[dict[str, Any]] = []
        self._side: list[str] = []
        self._n_images = self._n_rejects = 0
        self._first_reject = ""

    def __enter__(self) -> Self:
        self._tmp = hidden(self.out, f"preparing-{socket.gethostname()}-{os.getpid()}")
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.out)
            self._tmp.mkdir()
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._shards = ShardWriter(self._tmp, self.image_size)
            self._rejects = (self._tmp / "rejects.jsonl").open("w", encoding="utf-8")
            self._sink = (self._tmp / "studies.arrow").open("wb")
            self._arrow = pa.ipc.new_file(self._sink, _SCHEMA)
        except OSError as error:
            self._discard()
            raise self._failed(error) from error
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
            self._discard()
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise self._failed(error) from error

    def add(self, study: Study, pixels: npt.NDArray[np.uint8]) -> None:
        """Append one study.

        Args:
            study: Its id must be new.
            pixels: uint8 (W, S, S), one image for each of `study.images`.

        Raises:
            DataError: The study is inconsistent, or the disk is full.
        """
        row = self._checked_row(study, pixels)
        hash_study(self._digest, study, pixels)
        try:
            self._shards.append(pixels)
            self._rows.append(row)
            if len(self._rows) == ROWS_PER_BATCH:
                self._flush()
        except OSError as error:
            raise self._failed(error) from error
        self._ids.add(study.id)
        self._n_images += len(pixels)
        self.counts[study.split] += 1
        self._views.update(image.view for image in study.images)

    def reject(self, what: str, why: str) -> None:
        """Record an input that is left out.

        Args:
            what: The study or file.
            why: The reason, one line.
        """
        self._n_rejects += 1
        self._first_reject = self._first_reject or f"{what}: {why}"
        try:
            self._rejects.write(json.dumps({"what": what, "why": why}, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._failed(error) from error

    def side_file(self, name: str) -> Path:
        """Path at which to write one more file; it must exist when the writer leaves."""
        if Path(name).name != name or name in OWN_FILES or name.startswith((".", "images-")):
            raise ValueError(f"not a name for a side file: {name!r}")
        if name not in self._side:
            self._side.append(name)
        return self._tmp / name

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
            row = {
                "id": study.id,
                "split": study.split,
                "report": study.report,
                "sections": _json(study.sections),
                "labels": None if study.labels is None else _json(study.labels),
                "graph": None if study.graph is None else _json(study.graph),
                "landmarks": study.landmarks,
                "paths": [image.path for image in study.images],
                "views": [image.view for image in study.images],
                "first_image": self._n_images,
                "n_images": len(study.images),
            }
            pa.RecordBatch.from_pylist([row], schema=_SCHEMA)
        except (TypeError, ValueError) as error:
            raise DataError(f"study {study.id} cannot be stored: {error}") from error
        return row

    def _flush(self) -> None:
        if self._rows:
            self._arrow.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=_SCHEMA))
            self._rows = []

    def _finish(self) -> None:
        if not self._ids:
            why = f"; first of {self._n_rejects} rejects: {self._first_reject}"
            raise DataError(f"{self.out}: no study to store{why if self._n_rejects else ''}")
        self._flush()
        self._arrow.close()
        self._sink.close()
        self._rejects.close()
        self._shards.close()
        names = [*self._shards.names, "studies.arrow", "rejects.jsonl", *self._side]
        for name in names:
            fsync(self._tmp / name)
        info = self._info({name: (self._tmp / name).stat().st_size for name in names})
        text = json.dumps(info, indent=2, ensure_ascii=False) + "\n"
        (self._tmp / "dataset.json").write_text(text, encoding="utf-8")
        fsync(self._tmp / "dataset.json")
        fsync(self._tmp)
        self._move_into_place()

    def _info(self, files: dict[str, int]) -> dict[str, Any]:
        shards = zip(self._shards.names, self._shards.sizes, strict=True)
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "kia_version": kia.__version__,
            **self._about,
            "counts": {split: self.counts[split] for split in SPLITS},
            "images": {view: self._views[view] for view in VIEWS},
            "rejects": self._n_rejects,
            "image_size": self.image_size,
            "content_hash": self._digest.hexdigest(),
            "shards": [{"file": name, "images": size} for name, size in shards],
            "side_files": self._side,
            "files": files,
        }

    def _move_into_place(self) -> None:
        refuse_occupied(self.out, self._overwrite)
        old = hidden(self.out, "replaced")
        if self.out.exists() and any(self.out.iterdir()):
            self.out.rename(old)
        try:
            self._tmp.rename(self.out)
        except OSError:
            if old.exists():
                old.rename(self.out)
            raise
        fsync(self.out.parent)
        shutil.rmtree(old, ignore_errors=True)

    def _discard(self) -> None:
        for name in ("_arrow", "_sink", "_rejects", "_shards"):
            try:
                if hasattr(self, name):
                    getattr(self, name).close()
            except (OSError, ValueError):
                pass  # the disk may be full; what matters is that the folder goes
        shutil.rmtree(self._tmp, ignore_errors=True)

    def _failed(self, error: OSError) -> DataError:
        reason = error.strerror or str(error)
        hint = "; free some space and run again" if error.errno in _NO_ROOM else ""
        return DataError(f"{self.out}: cannot write the data set: {reason}{hint}")


def hash_study(digest: Any, study: Study, pixels: npt.NDArray[np.uint8]) -> None:
    """Feed what a study says (not where its files lay) into a hash."""
    views = [image.view for image in study.images]
    text = [study.report, study.sections, study.labels, study.graph, study.landmarks]
    said = [study.id, study.split, *text, views]
    record = json.dumps(said, sort_keys=True, default=dict).encode("utf-8", "surrogatepass")
    digest.update(len(record).to_bytes(8, "little") + record)
    digest.update(np.ascontiguousarray(pixels).data)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=dict)
