"""A data set of any number of studies from a few: new ids, and links to the same images."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shutil import copy

import pyarrow as pa

from kia.data.store.chunks import SCHEMA, Chunk, Tally, assemble
from kia.data.store.dataset import PreparedDataset

CHUNK = 1024  # studies


def write_linked(dataset: PreparedDataset, folder: Path, chunks: int) -> Path:
    """Writes `chunks` times 1,024 studies; they differ in their ids alone.

    Args:
        dataset: Whose first studies are repeated.
        folder: New.
        chunks: How many.
    """
    folder.mkdir()
    few = dataset.batch(0)
    rows = few.take(pa.array([number % len(few) for number in range(CHUNK)]))
    copy(dataset.path / "images-00000.npy", folder)
    counts = Counter(rows.column("split").to_pylist() * chunks)
    views = Counter(view for row in rows.column("views").to_pylist() for view in row * chunks)
    knowledge = Tally.from_record(dataset.info).knowledge

    def made() -> Iterator[Chunk]:
        for chunk in range(chunks):
            ids = pa.array([f"{chunk}-{number}" for number in range(CHUNK)])
            named = rows.set_column(0, SCHEMA.field("id"), ids)
            tally = Tally(0, 0, counts, views, knowledge) if chunk == 0 else Tally()
            yield Chunk("images-00000.npy", named, tally, ())

    names = ("kia_version", "source", "section", "resize", "image_size", "settings", "inputs")
    about = {name: dataset.info[name] for name in names} | {"part": None}
    assemble(folder, about, made())
    return folder
