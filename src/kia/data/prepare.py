"""Decodes the images of studies in parallel and hands them to the data set writer in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kia.data.images import Resize, read_image, resize_square
from kia.data.store import DatasetWriter
from kia.errors import ImageError
from kia.studies import Study

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Reject:
    """An input that is left out.

    Attributes:
        what: Study id, or study id and image.
        why: The reason, one line.
    """

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class LoadedStudy:
    """A study with those of its images that could be decoded.

    Attributes:
        study: Lists only these images.
        pixels: uint8 (W, S, S); None if no image is left.
        rejects: The others.
    """

    study: Study
    pixels: npt.NDArray[np.uint8] | None
    rejects: tuple[Reject, ...]


def load_study(study: Study, size: int, resize: Resize = "squash") -> LoadedStudy:
    """Read the images of a study as squares of `size` pixels."""
    images, squares, rejects = [], [], []
    for image in study.images:
        try:
            squares.append(resize_square(read_image(image.path), size, resize))
            images.append(image)
        except ImageError as error:
            rejects.append(Reject(f"{study.id} ({image.view})", str(error)))
    pixels = np.stack(squares) if squares else None
    return LoadedStudy(replace(study, images=tuple(images)), pixels, tuple(rejects))


def write_studies(
    writer: DatasetWriter,
    studies: Iterable[Study],
    *,
    resize: Resize = "squash",
    workers: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> list[Reject]:
    """Decode studies on threads (the decoders release the interpreter) and store them in order.

    Args:
        writer: Takes the studies, and the rejects as they occur.
        studies: With readable paths.
        resize: How images become square.
        workers: Threads; None for one a processor.
        advance: Called after each study.

    Returns:
        One reject for each study that has no image left.
    """
    lost = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        load = lambda study: load_study(study, writer.image_size, resize)  # noqa: E731
        for loaded in ordered_map(pool, load, studies):
            for reject in loaded.rejects:
                writer.reject(reject.what, reject.why)
            if loaded.pixels is None:
                lost.append(Reject(loaded.study.id, "no image could be decoded"))
                writer.reject(lost[-1].what, lost[-1].why)
            else:
                writer.add(loaded.study, loaded.pixels)
            advance()
    return lost


def ordered_map(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], window: int = 64
) -> Iterator[Result]:
    """Like `Executor.map`, with at most `window` results waiting in memory."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
