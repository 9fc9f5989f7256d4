"""A data set that is cut off while it is read is an error in one line, not the end by SIGBUS."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kia.data.batches.batch import load_images
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError
from kia.studies import Study, StudyImage

SIZE = 64
STUDIES = 40
USES: dict[str, Callable[[PreparedDataset], object]] = {
    "pixels": lambda dataset: dataset.pixels(STUDIES - 1),
    "a batch": lambda dataset: load_images(dataset, np.array([0, STUDIES - 1])),
    "a study": lambda dataset: dataset.study(STUDIES - 1),
    "reports": lambda dataset: list(dataset.reports("train")),
    "a report": lambda dataset: dataset.reports("train")[STUDIES - 1],
    "ids": lambda dataset: dataset.ids("train"),
    "labels": lambda dataset: list(dataset.label_sets("train")),
    "an id": lambda dataset: dataset.index_of("s1"),
}


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedDataset:
    pixels = np.random.default_rng(0).integers(0, 256, (STUDIES, 2, SIZE, SIZE), dtype=np.uint8)
    images = (StudyImage("a", "frontal"), StudyImage("b", "lateral"))
    with DatasetWriter(tmp_path / "set", image_size=SIZE, source="test") as writer:
        for number in range(STUDIES):
            writer.add(Study(f"s{number}", "train", images, "Clear lungs. " * 50), pixels[number])
    return PreparedDataset.open(tmp_path / "set")


def cut(file: Path, size: int) -> None:
    file.chmod(0o644)
    os.truncate(file, size)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("use", USES)
def test_what_is_cut_off_is_named(use: str, used: bool, dataset: PreparedDataset) -> None:
    if used:
        USES[use](dataset)
    file = "images-00000.npy" if use in ("pixels", "a batch") else "studies.arrow"
    cut(dataset.path / file, 4096)
    with pytest.raises(DataError, match=f"damaged data set .{file}.* was cut off") as caught:
        USES[use](dataset)
    assert "\n" not in str(caught.value)


def test_what_is_cut_off_before_a_worker_opens_it_is_refused(dataset: PreparedDataset) -> None:
    cut(dataset.path / "images-00000.npy", 4096)
    with pytest.raises(DataError, match="has 4096 bytes instead of"):
        PreparedDataset.open(dataset.path)


def test_more_shards_than_are_kept_open_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kia.data.store.writer.CHUNK_INPUTS", 1)
    monkeypatch.setattr("kia.data.store.shards._MOST_OPEN", 2)
    with DatasetWriter(tmp_path / "set", image_size=8, source="test") as writer:
        for number in range(5):
            study = Study(f"s{number}", "train", (StudyImage("a", "frontal"),), "x")
            writer.add(study, np.full((1, 8, 8), number, np.uint8))
    dataset = PreparedDataset.open(tmp_path / "set")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in [0, 1, 2, 3, 4, 0, 3, 1]:
        assert (dataset.pixels(number) == number).all()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
