"""Contrastive embeddings of a split, computed once and memory-mapped.

A folder of `index.json` (whose embeddings these are), `images.npy` and `reports.npy`, float32
(n, P), each row of length 1. Another model or data set is noticed by its hash, and the index is
built anew. Shape letters: n studies, P projection width.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kia.data.store.dataset import PreparedDataset
from kia.errors import ModelError
from kia.explain.retrieval.report_features import report_features
from kia.files.plain import read_json
from kia.files.regular import open_file
from kia.generation import image_embeddings, model_folder
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.studies import Split

_VERSION = 1
_KINDS = ("images", "reports")
_QUERIES = 64  # compared with all embeddings at a time

Embeddings = NDArray[np.float32]


@dataclass(frozen=True)
class RetrievalIndex:
    """The embeddings of the studies of a split, in the order of `PreparedDataset.indices`.

    Attributes:
        images: (n, P), memory-mapped.
        reports: (n, P), memory-mapped.
        built: Whether they were computed just now.
    """

    images: Embeddings
    reports: Embeddings
    built: bool


def check_contrast(model: KIAModel) -> None:
    """Refuses a model without contrastive embeddings.

    Raises:
        ModelError: It was trained without image-report contrast.
    """
    if not model.trained_on("irc"):
        raise ModelError(
            "this model was trained without image-report contrast (tasks.irc.weight), so its "
            "images and reports cannot be compared"
        )


def index_folder(source: str | Path, dataset: PreparedDataset, split: Split) -> Path:
    """Where the index of a model, data set and split lies unless told otherwise.

    `$XDG_CACHE_HOME/kia` or `~/.cache/kia`, not beside the model: embeddings come from patients'
    studies, and a model folder may be passed on.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kia" / "retrieval"
    names = f"{model_folder(source).absolute()}\n{dataset.path}\n{split}"
    return cache / hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def open_index(
    source: str | Path,
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    split: Split,
    *,
    folder: Path | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
    batch_size: int = 32,
) -> RetrievalIndex:
    """The index in a folder, built first if it is absent, damaged, or of anything else.

    Args:
        source: Run folder or model folder that the model was loaded from.
        model: In evaluation mode, trained with IRC.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        split: Whose studies are embedded.
        folder: `index_folder` if absent.
        on_progress: Told the number of studies finished with each batch.
        batch_size: Studies at a time.

    Raises:
        ModelError: See `check_contrast`.
        OSError: The folder cannot be written.
    """
    check_contrast(model)
    folder = folder or index_folder(source, dataset, split)
    studies = dataset.indices(split)
    recipe = {
        "version": _VERSION,
        "model": model_hash(model_folder(source)),
        "data": dataset.info["content_hash"],
        "split": split,
        "studies": len(studies),
        "width": model.config.projection_width,
    }
    arrays = _read(folder, recipe)
    built = arrays is None
    if arrays is None:
        _build(folder, recipe, model, processor, dataset, studies, on_progress, batch_size)
        arrays = _read(folder, recipe)
        if arrays is None:
            raise ModelError(f"{folder}: the retrieval index changed while it was built; try again")
    return RetrievalIndex(*arrays, built)


def model_hash(folder: Path) -> str:
    """SHA-256 over a model folder's weights, configuration, tokenizer and processor."""
    whole = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")]):
        if not path.is_file():  # a pipe of that name would be waited for
            continue
        with open_file(path) as file:
            whole.update(f"{path.name}\n".encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _read(folder: Path, recipe: dict[str, Any]) -> tuple[Embeddings, Embeddings] | None:
    """The arrays, or None where they are not those of the recipe."""
    try:
        if read_json(folder / "index.json") != recipe:
            return None
        first, second = (_mapped(folder / f"{kind}.npy") for kind in _KINDS)
    except (OSError, ValueError):
        return None
    shape = (recipe["studies"], recipe["width"])
    whole = all(a.shape == shape and a.dtype == np.float32 for a in (first, second))
    return (np.asarray(first), np.asarray(second)) if whole else None


def _mapped(file: Path) -> Embeddings:
    """An array of the index; ValueError or OSError if it is none."""
    open_file(file).close()
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # numpy parses the header as Python, which raises a lot
        raise ValueError(f"{file.name} is no array") from error


def _build(
    folder: Path,
    recipe: dict[str, Any],
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    on_progress: Callable[[int], None],
    batch_size: int,
) -> None:
    """Writes the arrays, and index.json last, so that a killed build leaves no index."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "index.json").unlink(missing_ok=True)
    partial = {kind: folder / f".{kind}.{os.getpid()}.npy" for kind in _KINDS}
    shape = (recipe["studies"], recipe["width"])
    try:
        images, reports = (
            np.lib.format.open_memmap(path, "w+", np.float32, shape) for path in partial.values()
        )
        for start in range(0, len(studies), batch_size):
            chunk = studies[start : start + batch_size]
            rows = slice(start, start + len(chunk))
            images[rows] = image_embeddings(model, processor, dataset, chunk, batch_size)
            texts = [dataset.row(int(study), ("report",))["report"] for study in chunk]
            reports[rows] = report_embeddings(model, processor, texts)
            on_progress(len(chunk))
        images.flush()
        reports.flush()
        for kind, path in partial.items():
            path.replace(folder / f"{kind}.npy")
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
    whole = folder / f".index.{os.getpid()}"
    whole.write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    whole.replace(folder / "index.json")


@torch.no_grad()
def report_embeddings(model: KIAModel, processor: KIAProcessor, reports: list[str]) -> Embeddings:
    """(n, P) contrastive embeddings of reports, each of length 1."""
    features, _ = report_features(model, processor, reports)
    return model.text_projection(features[:, 0]).cpu().numpy()


def nearest(
    embeddings: Embeddings, queries: Embeddings, count: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Exact search by cosine: the places (q, K) of the nearest, best first, and their similarities.

    Args:
        embeddings: (n, P), each of length 1.
        queries: (q, P), each of length 1.
        count: K, at most n; equal similarities come in the order of their places.
    """
    count = min(count, len(embeddings))
    places = np.empty((len(queries), count), np.int64)
    similarities = np.empty((len(queries), count), np.float32)
    for start in range(0, len(queries), _QUERIES):
        rows = slice(start, start + _QUERIES)
        scores = queries[rows] @ embeddings.T
        for row, values in enumerate(scores, start):
            chosen = _highest(values, count)
            places[row], similarities[row] = chosen, values[chosen]
    return places, similarities


def _highest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the `count` highest values, best first, equal ones by place."""
    if count < len(values):
        least = np.partition(values, len(values) - count)[len(values) - count]
        above = np.flatnonzero(values > least)
        chosen = np.concatenate([above, np.flatnonzero(values == least)[: count - len(above)]])
    else:
        chosen = np.arange(len(values))
    return chosen[np.lexsort((chosen, -values[chosen]))]
