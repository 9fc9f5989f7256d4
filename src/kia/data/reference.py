"""What a model keeps of the data set that it is trained on, to know it again: looks and hashes."""

from pathlib import Path

import numpy as np

from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.imaging.plausibility.reference import FEWEST, Reference
from kia.imaging.plausibility.thumbnails import SIDE, Pixels, thumbnail
from kia.processing.seen import Seen
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


def learn_seen(dataset: PreparedDataset) -> Seen:
    """Hashes of the training images and of the most frequent training reports."""
    studies = dataset.indices("train").tolist()
    squares = (square for study in studies for square in dataset.pixels(study))
    phantoms = str(dataset.info["source"]).startswith("phantom")
    return Seen.learn(squares, dataset.reports("train"), phantoms)


def add_reference(data: str | Path, folder: str | Path) -> None:
    """Gives a model that was trained without them its reference and its hashes.

    Args:
        data: The prepared data set that the model was trained on, for its image size.
        folder: The model folder; plausibility.safetensors and seen.safetensors are written into it.

    Raises:
        DataError: The data set cannot be read, or has too few training images.
    """
    dataset = PreparedDataset.open(data)
    learn_seen(dataset).save(Path(folder))
    reference = learn_reference(dataset)
    if reference is None:
        raise DataError(f"{data} has too few training images ({FEWEST} of a view are needed)")
    reference.save(Path(folder))
