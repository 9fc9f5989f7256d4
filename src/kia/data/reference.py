"""Learns what the X-rays of a data set look like, to tell other pictures from them later."""

from pathlib import Path

import numpy as np

from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.imaging.plausibility.reference import FEWEST, Reference
from kia.imaging.plausibility.thumbnails import SIDE, Pixels, thumbnail
from kia.studies import VIEWS, Split, View

MOST = 2_500
"""Studies that are looked at; of more, every second, third … is."""


def thumbnails(dataset: PreparedDataset, split: Split) -> dict[View, Pixels]:
    """Thumbnails of a split, uint8 (n, 16, 16) a view, of at most `MOST` studies."""
    studies = dataset.indices(split)
    found: dict[View, list[Pixels]] = {view: [] for view in VIEWS}
    for study in studies[:: -(-len(studies) // MOST) or 1].tolist():
        for square, view in zip(dataset.pixels(study), dataset.views(study), strict=True):
            found[view].append(thumbnail(square))  # type: ignore[index]
    return {view: np.reshape(small, (-1, SIDE, SIDE)) for view, small in found.items()}


def learn_reference(dataset: PreparedDataset) -> Reference | None:
    """The reference of the training images; None if they are too few."""
    return Reference.learn(thumbnails(dataset, "train"))


def add_reference(data: str | Path, folder: str | Path) -> None:
    """Gives a model that was trained without one its reference.

    Args:
        data: The prepared data set that the model was trained on.
        folder: The model folder; plausibility.safetensors is written into it.

    Raises:
        DataError: The data set cannot be read, or has too few training images.
    """
    reference = learn_reference(PreparedDataset.open(data))
    if reference is None:
        raise DataError(f"{data} has too few training images ({FEWEST} of a view are needed)")
    reference.save(Path(folder))
