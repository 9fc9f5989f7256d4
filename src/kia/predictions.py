"""Predictions: the reports of a split on disk, in the raw form that is scored.

Beside them lie the image features that the nearest-neighbour baseline needs.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from kia.candidates import chosen_reports
from kia.config import GenerationConfig
from kia.data.store.dataset import PreparedDataset
from kia.evaluation.predictions import TRAIN_EMBEDDINGS
from kia.generation import check_image_size, image_embeddings, write_dataset_reports
from kia.models import ranks
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

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
    whole_sentences: bool = False,
    track: Track = untracked,
) -> None:
    """Writes a line `{"id", "report"}` a study, and image features of these and of training.

    Several processes share the studies; the first writes the files, in the order of studies. The
    files get their names together, when all of them are whole.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: Numbers in the data set.
        out: JSON Lines; `NAME.embeddings.npy` and the training features lie beside it.
        settings: Decoding settings and batch size.
        seed: Of the candidates that are drawn.
        whole_sentences: As of `kia.candidates.chosen_reports`.
        track: Shows progress.

    Raises:
        ModelError: The data set was prepared for another image size.
    """
    check_image_size(dataset, processor)
    out.parent.mkdir(parents=True, exist_ok=True)
    mine = ranks.share(studies)
    written = write_dataset_reports(
        *(model, processor, dataset, mine, settings, track("reports", len(mine))),
        partial(chosen_reports, seed=seed, whole_sentences=whole_sentences),
    )
    lines = [json.dumps({"id": id, "report": r}, ensure_ascii=False) for id, r in written]
    lines = ranks.gathered_texts(lines)
    chosen = {
        out.with_name(f"{out.stem}.embeddings.npy"): studies,
        out.with_name(TRAIN_EMBEDDINGS): dataset.indices("train"),
    }
    features = {
        path: _features(model, processor, dataset, each, track) for path, each in chosen.items()
    }
    if ranks.own():
        return
    with _whole_files() as whole:
        whole(out).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for path, rows in features.items():
            with whole(path).open("wb") as file:
                np.save(file, rows, allow_pickle=False)


def _features(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    track: Track,
) -> NDArray[np.float32]:
    """Image features of all studies, computed by all processes."""
    mine = ranks.share(studies)
    # a process without a study must know the width all the same
    order = mine if len(mine) else studies[:1]
    advance = track("image features", len(order))
    rows = image_embeddings(model, processor, dataset, order, on_progress=advance)
    features: NDArray[np.float32] = ranks.gathered(torch.from_numpy(rows[: len(mine)])).numpy()
    return features


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
