"""Puts the parts of a preparation together."""

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from kia.data.readers.inputs import Part
from kia.data.store.atomic_folder import WorkFolder, difference, refuse_occupied
from kia.data.store.chunks import Chunk, Tally, assemble
from kia.data.store.dataset import PreparedDataset
from kia.data.store.description import damaged
from kia.data.store.rows import SCHEMA, content_hash
from kia.data.store.writer import no_study
from kia.errors import DataError
from kia.files.regular import open_file, real_path
from kia.imaging.workers import Reject

_RECIPE = ("kia_version", "source", "section", "resize", "image_size", "settings", "inputs")
"""What the parts of a data set have in common, and it has from them."""


def merge_parts(
    folders: Sequence[Path], out: Path, *, overwrite: bool = False
) -> tuple[PreparedDataset, bool]:
    """Make one data set of parts, as if it had been prepared in one piece.

    Images are linked where the file system can, else copied. The parts stay.

    Args:
        folders: All parts of one preparation, in any order.
        out: Folder to make; if it holds just this data set already, nothing is done.
        overwrite: Replace another data set there.

    Returns:
        The data set, and whether it is new.

    Raises:
        DataError: A part is missing, there twice, of another preparation, or no part at all.
    """
    parts = _in_order([PreparedDataset.open(folder) for folder in folders])
    out = real_path(out)
    about = {name: parts[0].info[name] for name in _RECIPE} | {"part": None}
    if (out / "dataset.json").is_file() and not overwrite:
        there = PreparedDataset.open(out)
        same = {name: there.info[name] for name in about} == about
        if same and there.info["content_hash"] == _content_hash(parts):
            return there, False
    refuse_occupied(out, overwrite)
    if not any(len(part) for part in parts):
        raise no_study(out, (Reject(**reject) for part in parts for reject in part.rejects()))
    return assembled(out, about, lambda folder: linked(parts, folder), overwrite), True


def assembled(
    out: Path,
    about: Mapping[str, Any],
    chunks: Callable[[Path], Iterable[Chunk]],
    overwrite: bool,
) -> PreparedDataset:
    """A data set of what other data sets hold, which gets its name when it is whole.

    Args:
        out: Its folder.
        about: Goes into dataset.json.
        chunks: Puts the images into a folder, and gives what they belong to.
        overwrite: Replace a data set there.

    Raises:
        DataError: It cannot be written, or another process does so.
    """
    try:
        work = WorkFolder(out)
        work.begin(about, resumable=False, overwrite=overwrite)
        try:
            assemble(work.dataset, about, chunks(work.dataset))
            work.publish(overwrite=overwrite)
        finally:
            work.discard()
    except OSError as error:
        raise DataError(f"{out}: cannot write the data set: {error.strerror or error}") from error
    return PreparedDataset.open(out)


def _in_order(datasets: Sequence[PreparedDataset]) -> list[PreparedDataset]:
    """The parts by number; DataError unless each is there once and all are of one kind."""
    found: dict[int, PreparedDataset] = {}
    first = datasets[0]
    for dataset in datasets:
        if not dataset.info["part"]:
            raise DataError(f"{dataset.path} is no part: prepare it with --part")
        part = Part.parse(dataset.info["part"])
        for name in _RECIPE:
            if dataset.info[name] != first.info[name]:
                raise DataError(
                    f"{dataset.path} and {first.path} are not parts of one data set: "
                    f"{difference(dataset.info, first.info, _RECIPE)}"
                )
        if part.of != Part.parse(first.info["part"]).of:
            raise DataError(
                f"{dataset.path} is part {part}, but {first.path} part {first.info['part']}"
            )
        if part.number in found:
            raise DataError(f"{dataset.path} and {found[part.number].path} are both part {part}")
        found[part.number] = dataset
    missing = [f"{number}/{part.of}" for number in range(1, part.of + 1) if number not in found]
    if missing:
        raise DataError(f"part {', '.join(missing)} is missing")
    return [found[number] for number in sorted(found)]


def _content_hash(parts: Sequence[PreparedDataset]) -> str:
    return content_hash(
        digest
        for part in parts
        for number in range(len(part.info["shards"]))
        for digest in part.batch(number).column("digest").to_pylist()
    )


def linked(parts: Sequence[PreparedDataset], folder: Path, first: int = 0) -> Iterator[Chunk]:
    """The shards of the parts, their images now also in `folder`, counted from `first`."""
    nothing = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    count = first
    for part in parts:
        rejects = [Reject(**reject) for reject in part.rejects()]
        yield Chunk("", nothing, Tally.from_record(part.info), rejects)
        for number, shard in enumerate(part.info["shards"]):
            name = f"images-{count:05d}.npy"
            try:
                _link(part.path / shard["file"], folder / name)
            except FileNotFoundError as error:
                raise damaged(part.path, f"{shard['file']}: {error.strerror}") from error
            yield Chunk(name, part.batch(number), Tally(), ())
            count += 1


def _link(file: Path, to: Path) -> None:
    """Links a file of a part, or copies it; never what a symbolic link leads to."""
    try:
        os.link(file, to, follow_symlinks=False)
        if stat.S_ISREG(to.lstat().st_mode):
            return
        to.unlink()
    except OSError:  # another file system, or one without links
        pass
    with open_file(file, follow=False) as source, to.open("wb") as copy:
        shutil.copyfileobj(source, copy)
