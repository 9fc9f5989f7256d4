"""Reports for a split of a prepared data set, as `kia generate --data` and `kia ablate` write them.

The raw form, for scoring.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kia.cli import console
from kia.cli.image_input import split_studies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kia.config import GenerationConfig
    from kia.data.store.dataset import PreparedDataset
    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor


def write_predictions(
    model: "KIAModel",
    processor: "KIAProcessor",
    data: Path,
    split: str,
    out: Path,
    settings: "GenerationConfig",
    seed: int = 0,
) -> int:
    """Predictions, and the image features that the nearest-neighbour baseline needs.

    Several processes share the studies; the first writes the files, in the order of studies.

    Returns:
        How many reports were written.
    """
    import numpy as np

    from kia.candidates import chosen_reports
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.predictions import TRAIN_EMBEDDINGS
    from kia.generation import check_image_size, write_dataset_reports
    from kia.models import ranks

    dataset = PreparedDataset.open(data)
    check_image_size(dataset, processor)
    studies = split_studies(dataset, split)
    out.parent.mkdir(parents=True, exist_ok=True)
    mine = ranks.share(studies)
    with console.progress() as bar:
        task = bar.add_task("reports", total=len(mine))
        write = partial(chosen_reports, seed=seed)
        written = write_dataset_reports(
            model, processor, dataset, mine, settings, lambda n: bar.advance(task, n), write
        )
        lines = [json.dumps({"id": id, "report": r}, ensure_ascii=False) for id, r in written]
    lines = ranks.gathered_texts(lines)
    chosen = {
        out.with_name(f"{out.stem}.embeddings.npy"): studies,
        out.with_name(TRAIN_EMBEDDINGS): dataset.indices("train"),
    }
    features = {path: _features(model, processor, dataset, each) for path, each in chosen.items()}
    if ranks.own():
        return len(studies)
    with _whole_files() as whole:
        whole(out).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for path, rows in features.items():
            with whole(path).open("wb") as file:
                np.save(file, rows, allow_pickle=False)
    return len(studies)


def _features(
    model: "KIAModel",
    processor: "KIAProcessor",
    dataset: "PreparedDataset",
    studies: "NDArray[np.int64]",
) -> "NDArray[np.float32]":
    """Image features of all studies, computed by all processes."""
    import torch

    from kia.generation import image_embeddings
    from kia.models import ranks

    mine = ranks.share(studies)
    # a process without a study must know the width all the same
    order = mine if len(mine) else studies[:1]
    with console.progress() as bar:
        task = bar.add_task("image features", total=len(order))
        rows = image_embeddings(
            model, processor, dataset, order, on_progress=lambda n: bar.advance(task, n)
        )
    return ranks.gathered(torch.from_numpy(rows[: len(mine)])).numpy()


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
