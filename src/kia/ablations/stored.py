"""What `kia ablate` keeps on disk; scores that are not just as they were written are made anew.

`scores-SPLIT.json` holds what they are of, their result, and a hash over it and the bootstrap
resamples beside it, `scores-SPLIT.npz`.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from kia.files.plain import read_json
from kia.files.records import Record
from kia.files.regular import MOST_TABLE, open_file, sha256


class _Source(Record):
    path: str
    hash: str


class AblationRecord(Record):
    """ablation.yaml: the preset and the data that all runs have."""

    config: dict[str, Any]
    data: _Source


class _Scores(Record):
    about: dict[str, str] = Field(alias="of")
    parameters: int
    result: dict[str, Any]
    sha256: str


class StoredScores(NamedTuple):
    """What was kept of a run.

    Attributes:
        parameters: Of its model.
        result: From `kia.evaluation.board.scoreboard`.
        resampled: Path → score of each bootstrap resample.
    """

    parameters: int
    result: dict[str, Any]
    resampled: dict[str, np.ndarray]


def write_resampled(file: Path, resampled: Mapping[str, np.ndarray]) -> None:
    """Writes the resamples beside `file`, which is written after them."""
    partial = file.with_name(f".{file.stem}.npz")
    np.savez(partial, **resampled)  # type: ignore[arg-type]
    partial.replace(file.with_suffix(".npz"))


def content_hash(content: Mapping[str, Any], file: Path) -> str:
    """Over what `file` says and the resamples beside it."""
    said = json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(said + sha256(file.with_suffix(".npz")).encode()).hexdigest()


def read_scores(file: Path, of: Mapping[str, str]) -> StoredScores | None:
    """The scores in a file; None if there are none, or not these.

    Args:
        file: scores-SPLIT.json.
        of: What they must be of.
    """
    try:
        found = read_json(file, MOST_TABLE)
        scores = _Scores.of(found)
        said = {name: value for name, value in found.items() if name != "sha256"}
        if scores.about != of or content_hash(said, file) != scores.sha256:
            return None
        with open_file(file.with_suffix(".npz")) as opened:
            return StoredScores(
                scores.parameters, scores.result, dict(np.load(opened, allow_pickle=False))
            )
    except (OSError, ValueError):
        return None
