"""A data set that grows by links holds what its source holds, under new ids."""

import numpy as np

from kia.bench.links import CHUNK, write_linked
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset


def test_linked_studies_are_those_of_the_source(tmp_path):
    with DatasetWriter(tmp_path / "few", image_size=16, source="phantom") as writer:
        write_phantoms(writer, 10, seed=0)
    few = PreparedDataset.open(tmp_path / "few")
    many = PreparedDataset.open(write_linked(few, tmp_path / "many", 3))
    assert len(many) == 3 * CHUNK
    assert len({many.study(number).id for number in range(len(many))}) == len(many)
    for number in (0, 9, 10, CHUNK + 3, 3 * CHUNK - 1):
        source = number % CHUNK % 10
        assert many.study(number).report == few.study(source).report
        np.testing.assert_array_equal(many.pixels(number), few.pixels(source))
    files = {file.stat().st_ino: file.stat().st_size for file in many.path.glob("images-*")}
    assert len(files) == 1  # the same bytes under three names
