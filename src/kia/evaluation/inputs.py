"""What an evaluation reads: generated reports and references, from files or from memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kia.errors import DataError, UsageError
from kia.evaluation.board.systems import References
from kia.evaluation.groups import banded
from kia.evaluation.language.protocols import DatasetStyle
from kia.evaluation.predictions import read_embeddings, read_report_file
from kia.evaluation.reports.columns import Choice, Role, only_text
from kia.files.plain import parse_json
from kia.files.regular import MOST_TABLE, read_text

Texts = Sequence[str] | Mapping[str, str] | str | Path
"""Reports: in order, by id, or the path of a file."""


@dataclass(frozen=True)
class Given:
    """The reports of one side.

    Attributes:
        reports: Id → raw report, in order.
        name: What messages and tables call it: the path of its file.
        has_ids: False where ids are row numbers from 1.
        columns: Name of a further column → id → value.
        references: Id → reference, where a file of predictions holds both.
        embeddings: Image embeddings that lie beside the file.
        image_gain: What the log of the run beside it says.
    """

    reports: Mapping[str, str]
    name: str
    has_ids: bool = True
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    references: Mapping[str, str] | None = None
    embeddings: tuple[np.ndarray, np.ndarray] | None = None
    image_gain: Mapping[str, Any] | None = None


def read_given(texts: Texts, role: Role, choice: Choice | None = None) -> Given:
    """Reports from a file or from memory.

    Args:
        texts: A text or Path is the path of a file (`kia.evaluation.predictions`); a mapping has
            ids; the texts of a sequence are numbered from 1.
        role: For columns, and for what lies beside a file of predictions.
        choice: How a file is read.
    """
    if not isinstance(texts, str | Path):
        has_ids = isinstance(texts, Mapping)
        rows = texts.items() if isinstance(texts, Mapping) else enumerate(texts, 1)
        reports = {str(id_): _report(text, f"{role}, {id_}") for id_, text in rows}
        if not reports:
            raise DataError(f"{role}: there is no report")
        return Given(reports, role, has_ids)
    path = Path(texts)
    read = read_report_file(path, role, choice)
    given = Given(read.reports, str(texts), read.has_ids, read.columns, read.references)
    if role == "references":
        return given
    log = _image_gain(path.with_name("log.jsonl"))
    return replace(given, embeddings=read_embeddings(path), image_gain=log)


def named_systems(predictions: Any) -> dict[str, Sequence[Texts]]:
    """Name → runs of several systems; {} for the reports of one.

    A mapping of texts is one system's reports by their ids.
    """
    if not isinstance(predictions, Mapping):
        return {}
    reports = (Path, Mapping, list, tuple)
    named = [name for name, value in predictions.items() if isinstance(value, reports)]
    if not named:
        return {}
    if other := next((name for name in predictions if name not in named), None):
        raise UsageError(
            f"{str(named[0])!r} is a system, {str(other)!r} a text: the reports of a system are a "
            "list, a mapping of ids or a Path"
        )
    return {str(name): runs_of(value) for name, value in predictions.items()}


def runs_of(predictions: Any) -> Sequence[Texts]:
    """One or several sets of reports: what is in a list are runs, unless they are texts."""
    if isinstance(predictions, str | Path | Mapping):
        return [predictions]
    items = list(predictions)
    if items and all(isinstance(item, Path | Mapping | list | tuple) for item in items):
        return items
    return [items]


def _report(text: Any, place: str) -> str:
    """A report from memory, where a table may have left a None or a NaN; [text] is one, too.

    Raises:
        DataError: It is something else, or several texts.
    """
    if isinstance(text, list | tuple):
        text = only_text(text, place)
    if text is None or text != text:  # NaN
        return ""
    if not isinstance(text, str):
        raise DataError(f"{place}: the report must be a text, not {type(text).__name__}")
    return text


def given_references(
    given: Given, train: Sequence[str] | None, dataset: DatasetStyle, by: Sequence[str]
) -> References:
    """References, with groups of studies by columns of their file.

    Raises:
        UsageError: It has no such column.
    """
    for name in by:
        if name not in given.columns:
            known = ", ".join(given.columns) or "none but id and report"
            raise UsageError(f"--by {name}: {given.name} has no such column; it has {known}")
    groups = {name: banded(dict(given.columns[name]), name) for name in by}
    return References(given.reports, train, dataset=dataset, groups=groups)


def _image_gain(log: Path) -> dict[str, Any] | None:
    """What the run says of its best model's validation; None if it says nothing."""
    try:
        lines = read_text(log, MOST_TABLE).split("\n")
    except (OSError, ValueError):
        return None
    found = None
    for line in lines:
        try:
            record = parse_json(line)
        except ValueError:  # the last line of a killed run
            continue
        gain = record.get("image_gain") if isinstance(record, dict) else None
        if isinstance(gain, int | float) and (found is None or record.get("best")):
            found = {"value": float(gain), "split": "val", "epoch": record.get("epoch")}
    return found
