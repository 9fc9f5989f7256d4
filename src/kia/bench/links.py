"""A data set of any number of studies from a few: new ids, and links to the same images."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
    numbers = [number % len(few) for number in range(CHUNK)]
    images = [dataset.pixels(number) for number in numbers]
    np.save(folder / "images-00000.npy", np.concatenate(images), allow_pickle=False)
    first = np.cumsum([0, *map(len, images[:-1])])
    place = SCHEMA.get_field_index("first_image")
    field = SCHEMA.field(place)
    rows = few.take(pa.array(numbers)).set_column(place, field, pa.array(first, field.type))
    counts = Counter(rows.column("split").to_pylist() * chunks)
    views = Counter(view for row in rows.column("views").to_pylist() for view in row * chunks)
    knowledge = Tally.from_record(dataset.info).knowledge

    def made() -> Iterator[Chunk]:
        for chunk in range(chunks):
            ids = pa.array([f"{chunk}-{number}" for number in range(CHUNK)])
            named = rows.set_column(0, SCHEMA.field("id"), ids)
            tally = Tally(0, 0, counts, views, knowledge) if chunk == 0 else Tally()
            name = f"images-{chunk:05}.npy"
            if chunk:  # under another name; no byte is written again
                (folder / name).hardlink_to(folder / "images-00000.npy")
            yield Chunk(name, named, tally, ())

    names = ("kia_version", "source", "section", "resize", "image_size", "settings", "inputs")
    about = {name: dataset.info[name] for name in names} | {"part": None}
    assemble(folder, about, made())
    return folder
