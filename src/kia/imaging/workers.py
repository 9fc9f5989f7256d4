"""Decodes the images of studies in worker processes, which a damaged file may kill.

That costs the one image a reject, never the run. What the processes do: `kia.imaging.decoding`.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from kia.imaging import decoding
from kia.imaging.decoding import LoadedImage, cause_of_loss, load, most_bytes, request, understood
from kia.imaging.facts import Facts, doubts_among
from kia.imaging.grey import Doubt
from kia.imaging.reading import read_facts
from kia.imaging.resize import Resize
from kia.processes.crew import Crew, Lost, Task
from kia.studies import Study

MAX_WAIT = 60.0
"""Seconds that an image may take on the clock: a file server may be slow, the machine busy."""
_AHEAD = 2  # images that a worker has at hand, so that it need not wait for the next
_WINDOW = 8  # images a worker that wait for those before them


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
        doubts: Images that are kept, but may not be chest X-rays, and why.
        found: The same doubts, for each image that is kept.
        shapes: Height and width of these images before they became squares.
        facts: What the files of these images say.
    """

    study: Study
    pixels: npt.NDArray[np.uint8] | None
    rejects: tuple[Reject, ...]
    doubts: tuple[Reject, ...] = ()
    found: tuple[tuple[Doubt, ...], ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    facts: tuple[Facts, ...] = ()


def load_study(study: Study, size: int, resize: Resize = "squash") -> LoadedStudy:
    """Read the images of a study as squares of `size` pixels, in this process."""
    return _assemble(study, [load(image.path, size, resize) for image in study.images])


def decode_studies(
    studies: Iterable[Study], size: int, resize: Resize = "squash", workers: int | None = None
) -> Generator[LoadedStudy, None, None]:
    """Read the images of studies in processes; close the iterator to stop them early.

    An image that kills its process twice, or needs too much time (`MAX_WAIT`, and the limits of
    `kia.imaging.decoding`) or memory, becomes a reject. A few images a worker wait in memory.

    Args:
        studies: With readable paths.
        size: Side S of the square images in pixels.
        resize: How images become square.
        workers: Processes; None for one a processor.

    Yields:
        Each study, in order.
    """
    workers = workers or os.cpu_count() or 1
    crew = Crew(
        decoding.WORK,
        workers,
        most=most_bytes(size),
        understand=partial(understood, size=size),
        ahead=_AHEAD,
        within=MAX_WAIT,
    )
    waiting: deque[tuple[Study, list[Task]]] = deque()
    try:
        for study in studies:
            tasks = [Task(request(image.path, size, resize)) for image in study.images]
            waiting.append((study, tasks))
            crew.add(tasks)
            while crew.open_tasks >= max(_AHEAD, _WINDOW * workers):
                yield _finished(crew, *waiting.popleft())
        while waiting:
            yield _finished(crew, *waiting.popleft())
    finally:
        crew.dismiss()


def _finished(crew: Crew, study: Study, tasks: list[Task]) -> LoadedStudy:
    crew.finish(tasks)
    loaded = []
    for image, task in zip(study.images, tasks, strict=True):
        found = task.outcome
        if isinstance(found, Lost):
            why = cause_of_loss(found.error, found.exitcode, MAX_WAIT)
            found = LoadedImage(None, f"{image.path}: {why}")
        loaded.append(found)
    return _assemble(study, loaded)


def _assemble(study: Study, loaded: list[LoadedImage]) -> LoadedStudy:
    images = [image for image, one in zip(study.images, loaded, strict=True) if not one.why_not]
    kept = [one for one in loaded if not one.why_not]
    squares = [one.pixels for one in kept if one.pixels is not None]
    named = [(f"{study.id} ({i.view})", one) for i, one in zip(study.images, loaded, strict=True)]
    facts = tuple(read_facts(image.path) for image in images)
    compared = doubts_among(images, facts)
    found = [(*one.doubts, *more) for one, more in zip(kept, compared, strict=True)]
    return LoadedStudy(
        replace(study, images=tuple(images)),
        np.stack(squares) if squares else None,
        tuple(Reject(name, one.why_not) for name, one in named if one.why_not),
        tuple(
            Reject(f"{study.id} ({image.view})", f"{image.path}: {doubt.why}")
            for image, doubts in zip(images, found, strict=True)
            for doubt in doubts
        ),
        tuple(found),
        tuple(one.shape for one in kept),
        facts,
    )
