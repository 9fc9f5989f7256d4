"""What run.yaml and the lines of log.jsonl must say for kia to read them (without torch)."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from kia.errors import RunError
from kia.files.plain import parse_json, read_yaml
from kia.files.records import Record

Count = Annotated[int, Field(ge=0, lt=1 << 48)]
_MOST = 1e100  # far beyond what float32 holds


def _is_of_training(value: float) -> float:
    if math.isfinite(value) and abs(value) > _MOST:
        raise ValueError(f"beyond {_MOST:g}")
    return value


Real = Annotated[float, Field(allow_inf_nan=True), AfterValidator(_is_of_training)]
"""A number that may have gone wrong in training."""
Stage = Literal["joint", "generation", "done"]


class Source(Record):
    """A data set or model, and the hash of its content."""

    path: str
    hash: str


class _Epochs(Record):
    epochs: Count


class _Train(Record):
    joint: _Epochs
    generation: _Epochs
    batch_size: Annotated[int, Field(gt=0, lt=1 << 48)]


class _Config(Record):
    train: _Train


class RunDescription(Record):
    """run.yaml: the configuration as it is, which that of another version may be."""

    config: dict[str, Any]
    data: Source
    environment: dict[str, Any]
    start: Source | None = Field(None, alias="from")


class _Line(Record):
    model_config = ConfigDict(extra="allow")


class _Place(_Line):
    epoch: Count
    step: Count
    stage: str


class Training(_Place):
    """What steps did since the last such line; its other values are losses and rates."""

    __pydantic_extra__: dict[str, Real]

    kind: Literal["train"]
    studies_per_second: Annotated[float, Field(gt=1e-9, lt=1e12)]


class Validated(_Place):
    """What a validation found."""

    __pydantic_extra__: dict[str, Real]

    kind: Literal["validation"]
    cider: Real
    loss: Real
    image_gain: Real
    unique_reports: Count
    studies: Annotated[int, Field(gt=0, lt=1 << 48)]
    best: bool


class Skipped(_Place):
    """A step that was left out."""

    kind: Literal["skipped"]
    studies: list[str]


class Warned(_Line):
    """What is wrong with the run."""

    kind: Literal["warning"]
    rule: str
    text: str
    advice: str
    step: Count


class Other(_Line):
    """A line of another kind, which is kept and not read."""

    kind: str


_KINDS: dict[str, type[Record]] = {
    "train": Training,
    "validation": Validated,
    "skipped": Skipped,
    "warning": Warned,
}


def read_description(file: Path) -> RunDescription:
    """What run.yaml says.

    Raises:
        RunError: It cannot be read, or is not what `kia train` writes.
    """
    try:
        found = RunDescription.of(read_yaml(file))
        _Config.of(found.config)
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}") from error
    return found


def parse_line(text: str) -> dict[str, Any]:
    """A line of log.jsonl; ValueError if it is none."""
    line = parse_json(text)
    kind = line.get("kind") if isinstance(line, dict) else None
    _KINDS.get(str(kind), Other).of(line)
    return dict(line)
