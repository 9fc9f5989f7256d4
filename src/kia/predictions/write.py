"""Predictions: the reports of a split on disk, in the raw form that is scored.

Beside them lie the image features that the nearest-neighbour baseline needs.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.candidates import chosen_reports
from kia.config import GenerationConfig
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.evaluation.predictions import TRAIN_EMBEDDINGS
from kia.files.plain import read_json
from kia.files.writing import write_json
from kia.generation import check_image_size, dataset_inputs, image_embeddings
from kia.models import ranks
from kia.models.kia import KIAModel
from kia.predictions.origin import origin_of
from kia.predictions.unfinished import Unfinished
from kia.processing import KIAProcessor

_BLOCK = 32
"""Studies whose image features are computed together."""

Track = Callable[[str, int], Callable[[int], None]]
"""Told what begins and how many studies it has; what it returns is told of those that are done."""


def untracked(what: str, total: int) -> Callable[[int], None]:
    """Shows no progress."""
    return lambda count: None


def write_predictions(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    out: Path,
    settings: GenerationConfig,
    *,
    seed: int = 0,
    source: str | Path | None = None,
    resume: bool = False,
    whole_sentences: bool = False,
    track: Track = untracked,
) -> int:
    """Writes a line `{"id", "report"}` a study, and image features of these and of training.

    Several processes share the studies. Batch by batch they append to pieces in the folder
    `OUT.part` (`kia.predictions.unfinished`); when all are there, the first process writes the
    files in the order of studies, whole, and removes the pieces. So the files are the same whatever
    the batches, the processes and the restarts were.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: Numbers in the data set.
        out: JSON Lines. Beside it lie `NAME.embeddings.npy`, the training features, and
            `NAME.jsonl.run.json`, which says what the reports come from (`kia.predictions.origin`).
        settings: Decoding settings and batch size.
        seed: Of the candidates that are drawn.
        source: What the model is called, for the record.
        whole_sentences: As of `kia.candidates.chosen_reports`.
        resume: Go on with the pieces of a run that did not end.
        track: Shows progress.

    Returns:
        How many reports were there already.

    Raises:
        ModelError: The data set was prepared for another image size.
        UsageError: Pieces of an earlier run lie there that may not be continued.
    """
    check_image_size(dataset, processor)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Unfinished(out)
    origin = origin_of(model, processor, dataset, studies, settings, seed)
    if whole_sentences:
        origin["settings"] = {**origin["settings"], "whole_sentences": True}
    unfinished.begin(origin, resume)
    write = partial(chosen_reports, seed=seed, whole_sentences=whole_sentences)
    before = _add_reports(model, processor, dataset, studies, settings, write, unfinished, track)
    trained_on = dataset.indices("train")
    for some in (studies, trained_on):
        _add_features(model, processor, dataset, some, unfinished, track)
    if not ranks.own():
        record = {**origin, "source": None if source is None else str(source)}
        _write_files(dataset, studies, trained_on, out, record, unfinished)
        unfinished.remove()
    ranks.any_of(False)  # none ends, or begins anew, before the files are there
    return before


def _add_reports(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    settings: GenerationConfig,
    write: Callable[..., list[str]],
    unfinished: Unfinished,
    track: Track,
) -> int:
    """Writes the reports that are missing, each process its share; gives how many were there."""
    done = unfinished.reports()
    ranks.any_of(False)  # all have read the same before one adds to it
    mine = ranks.share(np.array([number for number in studies if number not in done], np.int64))
    advance = track("reports", len(mine))
    for start in range(0, len(mine), settings.batch_size):
        batch = mine[start : start + settings.batch_size]
        inputs = dataset_inputs(dataset, processor, batch)
        unfinished.add_reports(batch.tolist(), write(model, processor, inputs, settings))
        advance(len(batch))
    ranks.any_of(False)  # all are there
    return len(done)


def _add_features(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    unfinished: Unfinished,
    track: Track,
) -> None:
    """Computes the image features that are missing; each process its share of them.

    The blocks are always the same, for the last bits of a feature depend on its neighbours.
    """
    done = unfinished.features().keys()
    ranks.any_of(False)  # all have read the same before one adds to it
    blocks = [studies[start : start + _BLOCK] for start in range(0, len(studies), _BLOCK)]
    mine = ranks.share([block for block in blocks if not done >= set(block.tolist())])
    advance = track("image features", sum(map(len, mine)))
    for block in mine:
        unfinished.add_features(block, image_embeddings(model, processor, dataset, block))
        advance(len(block))
    ranks.any_of(False)


def _write_files(
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    trained_on: NDArray[np.int64],
    out: Path,
    record: dict[str, Any],
    unfinished: Unfinished,
) -> None:
    reports, features = unfinished.reports(), unfinished.features()
    arrays = {
        out.with_name(f"{out.stem}.embeddings.npy"): studies,
        out.with_name(TRAIN_EMBEDDINGS): trained_on,
    }
    with _whole_files() as whole:
        with whole(out).open("w", encoding="utf-8") as file:
            for number in studies.tolist():
                line = {"id": dataset.study(number).id, "report": reports[number]}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        for path, numbers in arrays.items():
            rows = [features[number] for number in numbers.tolist()]
            with whole(path).open("wb") as binary:
                np.save(binary, np.stack(rows) if rows else np.empty((0, 0), np.float32))
        write_json(whole(record_of(out)), record)


def record_of(out: Path) -> Path:
    """Where it is written what a file of predictions comes from."""
    return out.with_name(f"{out.name}.run.json")


def recorded_model(out: Path) -> str:
    """What the model of a file of predictions is called, by the record beside it.

    Raises:
        DataError: There is no record, or it names none.
    """
    path = record_of(out)
    try:
        record = read_json(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no JSON"
        raise DataError(f"{path}: cannot read what {out.name} comes from: {reason}") from None
    source = record.get("source") if isinstance(record, dict) else None
    if not isinstance(source, str):
        raise DataError(f"{path}: it names no model (source)")
    return source


@contextmanager
def _whole_files() -> Iterator[Callable[[Path], Path]]:
    """Gives hidden names to write under; the files get their own names together, at the end."""
    hidden: dict[Path, Path] = {}

    def whole(path: Path) -> Path:
        hidden[path] = path.with_name(f".{path.name}.{os.getpid()}")
        return hidden[path]

    try:
        yield whole
        for path, partial in hidden.items():
            partial.replace(path)
    finally:
        for partial in hidden.values():
            partial.unlink(missing_ok=True)
