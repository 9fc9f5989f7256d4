"""Files of reports: one JSON line a study, {"id", "report", …}, from any system."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kia.errors import DataError

TRAIN_EMBEDDINGS = "train-embeddings.npy"
"""Name of the file, beside the predictions, with the model's embeddings of the training images."""

_NAMED_IDS = 3  # ids named in an error line


def read_reports(path: str | Path) -> dict[str, str]:
    """Read id → raw report, in the order of the file.

    Args:
        path: JSON lines; keys other than "id" and "report" are ignored, and so are empty lines.

    Raises:
        DataError: The file is missing or empty, a line is malformed, or an id comes twice.
    """
    path = Path(path)
    reports: dict[str, str] = {}
    first_seen: dict[str, int] = {}
    for number, line in enumerate(_read_lines(path), 1):
        if not line.strip():
            continue
        id_, report = _parse(line, f"{path}, line {number}")
        if id_ in reports:
            raise DataError(
                f"{path}, line {number}: id {id_!r} was already on line {first_seen[id_]}"
            )
        reports[id_], first_seen[id_] = report, number
    if not reports:
        raise DataError(f"{path} is empty: it needs one JSON line a study")
    return reports


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text") from None


def _parse(line: str, where: str) -> tuple[str, str]:
    shape = '{"id": "…", "report": "…"}'
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        problem = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise DataError(f"{where} is not JSON ({problem}); expected {shape}") from None
    if not isinstance(record, dict):
        raise DataError(f"{where} is not a JSON object; expected {shape}")
    for key in ("id", "report"):
        if key not in record:
            raise DataError(f"{where} has no {key!r}; expected {shape}")
    id_, report = record["id"], record["report"]
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise DataError(f"{where}: the id must be a text or a whole number")
    if not isinstance(report, str):
        raise DataError(f"{where}: the report must be a text")
    return str(id_), report


def check_coverage(
    predictions: Mapping[str, str], references: Mapping[str, str], split: str | None = None
) -> None:
    """Check that every study has one prediction, and no prediction lacks its study.

    Args:
        predictions: Id → report.
        references: Id → report.
        split: Name of the split, for the message.

    Raises:
        DataError: Ids are missing or unknown; says how many and the first ones.
    """
    where = f"split {split}" if split else "the references"
    if not references:
        raise DataError(f"{where} has no studies" if split else "there are no references")
    if missing := [id_ for id_ in references if id_ not in predictions]:
        raise DataError(
            f"no prediction for {len(missing)} of {len(references)} studies of {where}: "
            f"{_first(missing)}"
        )
    if unknown := [id_ for id_ in predictions if id_ not in references]:
        raise DataError(
            f"{len(unknown)} of {len(predictions)} predictions are for studies not in {where}: "
            f"{_first(unknown)}"
        )


def _first(ids: Iterable[str]) -> str:
    named = list(ids)
    return ", ".join(named[:_NAMED_IDS]) + (", …" if len(named) > _NAMED_IDS else "")


def read_embeddings(predictions: str | Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Image embeddings that lie beside a file of predictions.

    Args:
        predictions: The JSON lines, ``<stem>.jsonl``.

    Returns:
        Embeddings of the training images, (n, P), from ``train-embeddings.npy``, and of the
        predicted studies in the order of the predictions, (m, P), from
        ``<stem>.embeddings.npy``; None unless both files are there.

    Raises:
        DataError: A file is damaged.
    """
    path = Path(predictions)
    files = path.with_name(TRAIN_EMBEDDINGS), path.with_name(f"{path.stem}.embeddings.npy")
    if not all(file.is_file() for file in files):
        return None
    train, query = map(_load, files)
    return train, query


def _load(path: Path) -> np.ndarray:
    try:
        embeddings = np.load(path, allow_pickle=False)
        if not isinstance(embeddings, np.ndarray) or embeddings.dtype.kind not in "fiu":
            raise ValueError("no array of numbers")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read embeddings from {path}: {error}") from None
    return embeddings
