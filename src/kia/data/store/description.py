"""dataset.json: what a prepared data set says of itself, checked where it is read.

The files that it names are plain names of files in its folder; a symbolic link is none.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from kia.config import MOST_SIDE
from kia.data.readers.inputs import Part
from kia.errors import DataError, UsageError
from kia.files.plain import read_json
from kia.files.records import Record
from kia.imaging.resize import Resize

FORMAT = "kia-dataset"
FORMAT_VERSION = 3
OWN_FILES = {"dataset.json", "studies.arrow", "rejects.jsonl"}

_SHARD = r"images-[0-9]{5,9}\.npy"
_SIDE_FILE = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
Count = Annotated[int, Field(ge=0, lt=1 << 48)]
ShardName = Annotated[str, StringConstraints(pattern=f"^{_SHARD}$")]
"""A plain name, so that the file lies in the folder."""


class Shard(Record):
    """A file of images, and how many studies they belong to."""

    file: ShardName
    images: Count
    studies: Count


class _Splits(Record):
    train: Count
    val: Count
    test: Count


class _Views(Record):
    frontal: Count
    lateral: Count


class Coverage(Record):
    """The fields of `kia.knowledge.masks.coverage.KnowledgeCoverage`; version 0.1 had fewer."""

    reports: Count
    reports_without_labels: Count
    reports_without_entities: Count
    reports_without_landmarks: Count
    sentences: Count
    sentences_without_entities: Count
    entities: Count = 0
    entities_unaligned: Count = 0


class _Coverages(Record):
    train: Coverage
    val: Coverage
    test: Coverage


class Counts(Record):
    """What `kia.data.store.chunks.Tally` counts."""

    counts: _Splits
    images: _Views
    rejects: Count
    inputs_read: Count
    knowledge: _Coverages


class Description(Counts):
    """What dataset.json says beside its format; keys of later versions are kept."""

    model_config = ConfigDict(extra="allow")

    kia_version: str
    source: str
    section: str
    resize: Resize
    image_size: Annotated[int, Field(gt=0, le=MOST_SIDE)]
    settings: dict[str, Any]
    part: str | None
    inputs: str | None
    content_hash: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    shards: list[Shard]
    side_files: list[str]
    files: dict[str, Count]

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        shards = [shard.file for shard in self.shards]
        for name in self.side_files:
            if not is_side_file(name):
                raise ValueError(f"side_files: {name[:80]!r} is not a plain name of a file")
        named = [*shards, *self.side_files, *(OWN_FILES - {"dataset.json"})]
        if len(set(named)) != len(named) or self.files.keys() != set(named):
            raise ValueError("files are not those that it consists of")
        listed = sum(shard.studies for shard in self.shards)
        counted = sum(self.counts.model_dump().values())
        if listed != counted:
            raise ValueError(f"{counted} studies are counted and {listed} listed")
        return self

    @field_validator("part")
    @classmethod
    def _is_a_part(cls, part: str | None) -> str | None:
        try:
            return part and str(Part.parse(part))
        except UsageError:
            raise ValueError("not a part such as 3/16") from None


def is_side_file(name: str) -> bool:
    """Whether one more file of a data set may have this name: a plain one that is not taken."""
    if not re.fullmatch(_SIDE_FILE, name):
        return False
    return name.lower() not in OWN_FILES and not name.lower().startswith("images-")


def read_description(folder: Path) -> dict[str, Any]:
    """What dataset.json says, with the version and the size of every file checked.

    Raises:
        DataError: The folder holds no data set, one of another version, or a damaged one.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data set; prepare one with `kia data`")
    try:
        found = read_json(folder / "dataset.json", follow=False)
    except FileNotFoundError:
        raise DataError(f"{folder} is not a prepared data set: it has no dataset.json") from None
    except OSError as error:
        raise damaged(folder, f"dataset.json: {error.strerror}") from error
    except ValueError as error:
        raise damaged(folder, f"dataset.json: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{folder} is not a prepared data set: dataset.json is something else")
    if (version := found.get("format_version")) != FORMAT_VERSION:
        raise DataError(
            f"{folder}: data set of format version {str(version)[:20]}, this kia reads "
            f"version {FORMAT_VERSION}; prepare it again"
        )
    try:
        description = Description.of(found)
    except ValueError as error:
        raise damaged(folder, f"dataset.json: {error}") from error
    _check_files(folder, description.files)
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **description.model_dump()}


def _check_files(folder: Path, files: Mapping[str, int]) -> None:
    for name, size in files.items():
        try:
            found = (folder / name).lstat()
        except OSError as error:
            raise damaged(folder, f"{name}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise damaged(folder, f"{name} is not a regular file")
        if found.st_size != size:
            raise damaged(folder, f"{name} has {found.st_size} bytes instead of {size}")


def damaged(folder: Path, what: str) -> DataError:
    """The error that a data set is not as it was written."""
    return DataError(f"{folder}: damaged data set ({what}); prepare it again")
