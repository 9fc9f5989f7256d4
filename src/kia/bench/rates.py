"""`kia bench data` and `kia bench knowledge`: studies and reports a second, on one core."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kia.config import RunConfig
from kia.data.batches.batch import BatchBuilder, EpochBatches
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError
from kia.imaging.reading import read_image
from kia.imaging.resize import resize_square
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.labels.rules import label_reports
from kia.phantoms.studies import phantom_study
from kia.processing import KIAProcessor, train_tokenizer

REPEATS = 3  # the best counts: other programs can only slow a run down


def bench_data(
    config: RunConfig, *, data: Path | None, images: Sequence[Path], studies: int
) -> dict[str, Any]:
    """Times what a training loads in an epoch against decoding image files.

    Args:
        config: Image size, masks, augmentation and batch size.
        data: Prepared data set; phantoms if absent.
        images: Files; phantoms as JPEGs of 2,048 pixels if none.
        studies: How many of the training split, two images each.

    Returns:
        Studies a second through the loader (with masks and augmentation), of the images alone as
        they lie in the data set, and of two image files decoded and resized; and their ratios.
    """
    with _prepared(data, config.model.image_size, studies) as dataset, _files(images) as files:
        numbers = dataset.indices("train")[:studies]
        text = config.model.text_encoder
        reports = dataset.reports("train")
        builder = BatchBuilder(
            dataset,
            KIAProcessor(train_tokenizer(reports, text.vocab_size), image_size=dataset.image_size),
            config.data,
            config.tasks,
            patch_size=config.model.image_encoder.patch_size,
            max_tokens=text.max_positions,
            seed=0,
        )

        def epoch() -> int:
            size = config.train.batch_size
            batches = EpochBatches(builder, numbers, batch_size=size, epoch=0)
            return sum(len(batches[number].studies) for number in range(len(batches)))

        def pixels() -> int:
            return sum(int(dataset.pixels(int(n)).sum() >= 0) for n in numbers)

        def decode() -> int:
            for file in files:
                resize_square(read_image(file), dataset.image_size)
            return len(files) // 2

        loaded, lying, decoded = (_rate(run) for run in (epoch, pixels, decode))
        side = read_image(files[0]).shape[::-1]
        return {
            "studies": len(numbers),
            "image_size": dataset.image_size,
            "file_pixels": list(side),
            "files": len(files),
            "loaded_per_second": loaded,
            "pixels_per_second": lying,
            "decoded_per_second": decoded,
            "ratio": loaded / decoded,
            "pixels_ratio": lying / decoded,
        }


def bench_knowledge(reports: Sequence[str]) -> dict[str, Any]:
    """Reports a second of processor time of the labeler and of the graph extractor."""

    def labels() -> int:
        return len(label_reports(reports))

    def graphs() -> int:
        return len(extract_graphs(reports))

    return {
        "reports": len(reports),
        "different": len(set(reports)),
        "labels_per_second": _rate(labels, time.process_time),
        "graphs_per_second": _rate(graphs, time.process_time),
    }


def phantom_reports(number: int) -> list[str]:
    """Reports of so many phantoms."""
    return [phantom_study(0, index, size=16).study.report for index in range(number)]


def _rate(run: Callable[[], int], clock: Callable[[], float] = time.perf_counter) -> float:
    best = 0.0
    for _ in range(REPEATS):
        since = clock()
        number = run()
        best = max(best, number / (clock() - since))
    return best


@contextmanager
def _prepared(data: Path | None, size: int, studies: int) -> Iterator[PreparedDataset]:
    if data is not None:
        yield PreparedDataset.open(data)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantoms"
        with DatasetWriter(path, image_size=size, source="phantom") as writer:
            write_phantoms(writer, -(-studies * 5 // 4), seed=0)  # four of five are to train on
        yield PreparedDataset.open(path)


@contextmanager
def _files(images: Sequence[Path]) -> Iterator[list[Path]]:
    """Image files; drawn ones of 2,048 pixels, as radiographs are, if there are none."""
    if images:
        if len(images) < 2:
            raise DataError(f"{images[0]}: two images make a study; name more")
        yield list(images)
        return
    with tempfile.TemporaryDirectory() as folder:
        noise = np.random.default_rng(0).normal(0, 2, (2048, 2048))
        paths = []
        for index in range(8):
            small = Image.fromarray(phantom_study(0, index, size=512).pixels[0])
            drawn = np.asarray(small.resize((2048, 2048)), dtype=np.float32)
            path = Path(folder) / f"{index}.jpg"
            grey = (drawn + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(grey).save(path, quality=90)
            paths.append(path)
        yield paths
