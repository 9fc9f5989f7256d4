"""What `kia evaluate` reads: predictions, references, groups of studies, images."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kia.errors import DataError, UsageError
from kia.studies import SPLITS, Split

if TYPE_CHECKING:
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.board.systems import References, System
    from kia.evaluation.language.protocols import DatasetStyle
    from kia.knowledge.radgraph import ReportGraph

_AGE_BANDS = ((0, 40, "under 40"), (40, 60, "40–59"), (60, 80, "60–79"), (80, 200, "80 and over"))


def read_system(path: Path, labels: Path | None, graphs: Path | None) -> "System":
    """A file of predictions, with what lies beside it."""
    from kia.evaluation.board.systems import System
    from kia.evaluation.predictions import read_embeddings, read_reports

    return System(
        read_reports(path),
        str(path),
        read_embeddings(path),
        labels=_read_labels(labels),
        graphs=_read_graphs(graphs),
        image_gain=_image_gain(path.with_name("log.jsonl")),
    )


def _read_labels(path: Path | None) -> "dict[str, Any] | None":
    if path is None:
        return None
    from kia.knowledge.chexpert import read_labels

    return dict(read_labels(path))


def _read_graphs(path: Path | None) -> "dict[str, ReportGraph] | None":
    if path is None:
        return None
    from kia.knowledge.radgraph import read_graphs

    return read_graphs(path)


def _image_gain(log: Path) -> dict[str, Any] | None:
    """What the run says of its best model's validation; None if it says nothing."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found = None
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # the last line of a killed run
            continue
        gain = record.get("image_gain") if isinstance(record, dict) else None
        if isinstance(gain, int | float) and (found is None or record.get("best")):
            found = {"value": float(gain), "split": "val", "epoch": record.get("epoch")}
    return found


def read_references(
    data: Path | None,
    split: str,
    references: Path | None,
    train_references: Path | None,
    dataset: str,
    by: str | None,
    labels: Path | None,
    graphs: Path | None,
) -> "References":
    """References from a prepared data set or from files."""
    from dataclasses import replace

    columns = [name.strip().lower() for name in by.split(",") if name.strip()] if by else []
    style = cast("DatasetStyle", dataset)
    if data is not None:
        found = _from_dataset(data, cast(Split, split), style, columns)
    else:
        found = _from_files(cast(Path, references), train_references, style, columns)
    return replace(
        found,
        labels=_read_labels(labels),
        graphs=_read_graphs(graphs),
    )


def _from_dataset(
    folder: Path, split: Split, dataset: "DatasetStyle", columns: list[str]
) -> "References":
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.board.systems import References

    prepared = PreparedDataset.open(folder)
    ids = prepared.ids(split)
    if not ids:
        raise DataError(f"{folder}: split {split} has no studies")
    return References(
        dict(zip(ids, prepared.reports(split), strict=True)),
        prepared.reports("train"),
        # the best constant must not be chosen on what is scored
        None if split == "val" else prepared.reports("val"),
        dataset,
        {
            "hash": prepared.info["content_hash"],
            "split": split,
            "source": prepared.info.get("source"),
        },
        groups={name: _group(prepared, ids, name, folder) for name in columns},
        other_splits={name: prepared.ids(name) for name in SPLITS if name != split},
    )


def _group(
    prepared: "PreparedDataset", ids: Sequence[str], column: str, folder: Path
) -> dict[str, str]:
    """Study → value of a column: its views, or what its sections say (sex, age …)."""
    values: dict[str, str] = {}
    for id_ in ids:
        index = prepared.index_of(id_)
        if column == "view":
            values[id_] = " + ".join(sorted(set(prepared.views(index))))
        else:
            sections = prepared.study(index).sections
            found = {name.lower(): text for name, text in sections.items()}.get(column, "")
            values[id_] = found.strip()
    if not any(values.values()):
        raise UsageError(f"--by {column}: {folder} has no such column")
    return _banded(values, column)


def _from_files(
    references: Path,
    train_references: Path | None,
    dataset: "DatasetStyle",
    columns: list[str],
) -> "References":
    from kia.evaluation.board.systems import References
    from kia.evaluation.predictions import read_report_file, read_reports

    found = read_report_file(references)
    for name in columns:
        if name not in found.columns:
            known = ", ".join(found.columns) or "none but id and report"
            raise UsageError(f"--by {name}: {references} has no such column; it has {known}")
    train = None if train_references is None else list(read_reports(train_references).values())
    return References(
        found.reports,
        train,
        dataset=dataset,
        groups={name: _banded(found.columns[name], name) for name in columns},
    )


def _banded(values: dict[str, str], column: str) -> dict[str, str]:
    """Ages in bands of twenty years; everything else as it is."""
    return {id_: _age_band(value) for id_, value in values.items()} if column == "age" else values


def _age_band(value: str) -> str:
    try:
        age = float(value)
    except ValueError:
        return "unknown"
    return next((name for low, high, name in _AGE_BANDS if low <= age < high), "unknown")


def study_images(folder: Path) -> Callable[[str], list[bytes]]:
    """Study id → its images as PNG files."""
    from PIL import Image

    from kia.data.store.dataset import PreparedDataset

    prepared = PreparedDataset.open(folder)

    def images(study: str) -> list[bytes]:
        files = []
        for view in prepared.pixels(prepared.index_of(study)):
            file = io.BytesIO()
            Image.fromarray(view).save(file, "PNG")
            files.append(file.getvalue())
        return files

    return images


def phantom_findings(
    folder: Path | None, reports: Sequence[str], references: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, float]] | None:
    """Findings that reports of phantoms call present, against what was drawn; None for others."""
    if folder is None:
        return None
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.baselines import most_frequent
    from kia.phantoms.scores import finding_scores

    prepared = PreparedDataset.open(folder)
    if not str(prepared.info.get("source", "")).startswith("phantom"):
        return None
    truth = [prepared.study(prepared.index_of(id)).labels or {} for id in ids]
    constant = most_frequent(prepared.reports("train")).report
    return {
        "predictions": finding_scores(reports, truth),
        "most_frequent": finding_scores([constant] * len(truth), truth),
    }
