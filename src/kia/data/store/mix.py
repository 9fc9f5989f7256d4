"""One data set of several, whose batches hold their studies in a stated ratio."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import kia
from kia.data.store.atomic_folder import refuse_occupied
from kia.data.store.chunks import Chunk
from kia.data.store.dataset import PreparedDataset
from kia.data.store.merge import assembled, linked
from kia.data.store.rows import SCHEMA, row_digest
from kia.errors import DataError, UsageError
from kia.files.regular import real_path

MOST_SOURCES = 100


@dataclass(frozen=True)
class Source:
    """A data set that goes into a mix.

    Attributes:
        name: Its folder's, with a number where two have the same.
        dataset: As it was prepared.
        share: Of each batch, relative to the others'.
    """

    name: str
    dataset: PreparedDataset
    share: int

    @property
    def record(self) -> dict[str, Any]:
        """What dataset.json says of it."""
        return {
            "name": self.name,
            "source": self.dataset.info["source"],
            "content_hash": self.dataset.info["content_hash"],
            "studies": len(self.dataset),
            "share": self.share,
        }


def mix_datasets(
    folders: Sequence[Path],
    out: Path,
    *,
    ratio: Sequence[int] | None = None,
    overwrite: bool = False,
) -> PreparedDataset:
    """Make one data set of several; images are linked where the file system can, else copied.

    Studies keep their ids and splits, patients get the name of their source before their own. The
    first source leads: an epoch goes through its training studies once.

    Args:
        folders: Prepared data sets with images of one size.
        out: Folder to make.
        ratio: Studies of each in a batch, relative to each other; as many training studies as
            each has if absent.
        overwrite: Replace a data set there.

    Raises:
        DataError: A source is empty, or made otherwise; two sources share a study; a training
            study shares a patient of its source or an image of any with another split; or two
            sources disagree on an image.
        UsageError: The ratio does not fit.
    """
    sources = _sources([PreparedDataset.open(folder) for folder in folders], ratio)
    out = real_path(out)
    refuse_occupied(out, overwrite)
    _check_alike(sources)
    _check_apart(sources)
    first = sources[0].dataset.info
    about = {
        "kia_version": kia.__version__,
        "source": "mix of " + ", ".join(source.name for source in sources),
        **{name: first[name] for name in ("section", "resize", "image_size")},
        "settings": {"mix": [source.record for source in sources]},
        "part": None,
        "inputs": None,
    }
    return assembled(out, about, lambda folder: _chunks(sources, folder), overwrite)


def parse_ratio(text: str) -> tuple[int, ...]:
    """The ratio called "2:1"; UsageError if it is none."""
    parts = text.split(":")
    if not all(part.isdecimal() and 0 < int(part) < 1000 for part in parts):
        raise UsageError(f"--ratio {text[:40]}: whole numbers from 1 to 999, as in 2:1")
    return tuple(map(int, parts))


def source_shares(
    dataset: PreparedDataset, studies: npt.NDArray[np.int64]
) -> list[tuple[npt.NDArray[np.int64], int]]:
    """Studies by source, with the sources' shares of a batch; [] of a data set of one source."""
    mix = dataset.info["settings"].get("mix")
    if not mix:
        return []
    ends = np.cumsum([source["studies"] for source in mix])
    parts = np.split(studies, np.searchsorted(studies, ends[:-1]))
    return [(part, source["share"]) for part, source in zip(parts, mix, strict=True)]


def _sources(datasets: Sequence[PreparedDataset], ratio: Sequence[int] | None) -> list[Source]:
    if not 2 <= len(datasets) <= MOST_SOURCES:
        raise UsageError(f"a mix is of 2 to {MOST_SOURCES} data sets")
    if ratio is not None and len(ratio) != len(datasets):
        raise UsageError(f"--ratio has {len(ratio)} numbers for {len(datasets)} data sets")
    counts = [len(dataset.indices("train")) for dataset in datasets]
    for dataset, count in zip(datasets, counts, strict=True):
        if not len(dataset):
            raise DataError(f"{dataset.path}: has no studies to mix")
        if not count:
            raise DataError(f"{dataset.path}: has no training studies to mix")
    names: list[str] = []
    for dataset in datasets:
        name, number = dataset.path.name, 1
        while name in names:
            number += 1
            name = f"{dataset.path.name}-{number}"
        names.append(name)
    return [Source(*each) for each in zip(names, datasets, ratio or counts, strict=True)]


def _check_alike(sources: Sequence[Source]) -> None:
    first = sources[0].dataset
    for source in sources[1:]:
        for name in ("image_size", "resize"):
            if source.dataset.info[name] != first.info[name]:
                raise DataError(
                    f"{source.dataset.path} and {first.path} do not mix: {name} is "
                    f"{source.dataset.info[name]} and {first.info[name]}"
                )


@dataclass(frozen=True, slots=True)
class _Seen:
    source: str
    id: str
    split: str
    labels: Mapping[str, int | None]

    def __str__(self) -> str:
        return f"{self.id} of {self.source} ({self.split})"


def _check_apart(sources: Sequence[Source]) -> None:
    """Whether what is held out of one source trains in another; by study, patient and image."""
    ids: dict[str, _Seen] = {}
    images: dict[bytes, _Seen] = {}
    for source in sources:
        splits: dict[str, _Seen] = {}
        for index, study in enumerate(source.dataset.studies()):
            here = _Seen(source.name, study.id, study.split, study.labels or {})
            if (there := ids.setdefault(study.id, here)) is not here:
                raise DataError(f"{there} and {here} are one study: leave it out of one of them")
            if study.patient is not None:
                there = splits.setdefault(study.patient, here)
                if there.split != here.split:
                    raise DataError(f"{there} and {here} are of one patient")
            for picture in source.dataset.pixels(index):
                key = hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
                there = images.setdefault(key, here)
                if there.source != here.source:
                    _check_image(there, here)


def _check_image(there: _Seen, here: _Seen) -> None:
    if (there.split == "train") != (here.split == "train"):
        raise DataError(f"{there} and {here} have an equal image: leave it out of one of them")
    for name, state in there.labels.items():
        if {state, here.labels.get(name)} == {0, 1}:
            raise DataError(f"{there} and {here} have an equal image and disagree on {name}")


def _chunks(sources: Sequence[Source], folder: Path) -> Iterator[Chunk]:
    """The shards of all sources, their rows with patients by source."""
    count = 0
    for source in sources:
        start = 0
        for chunk in linked([source.dataset], folder, first=count):
            if not chunk.rows.num_rows:
                yield chunk
                continue
            rows = chunk.rows.to_pylist()
            for place, row in enumerate(rows):
                if row["patient"] is not None:
                    row["patient"] = f"{source.name}/{row['patient']}"
                row["digest"] = row_digest(row, source.dataset.pixels(start + place))
            yield Chunk(
                chunk.shard, pa.RecordBatch.from_pylist(rows, SCHEMA), chunk.tally, chunk.rejects
            )
            start += len(rows)
            count += 1
