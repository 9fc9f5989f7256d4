"""Decodes the images of studies in worker processes, which a damaged file may kill.

Decoders are C code: on damaged files they crash, hang, or ask for memory without end. In a worker
of its own that costs the one image a reject, never the run.
"""

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kia.errors import ImageError
from kia.imaging.facts import Facts, doubts_among
from kia.imaging.grey import Doubt
from kia.imaging.reading import read_doubtful, read_facts
from kia.imaging.resize import Resize, resize_square, shape_of
from kia.studies import Study

MAX_SECONDS = 5.0
"""Processor time that an image may take,"""
SECONDS_PER_BYTE = 0.25e-6
"""and this for each byte of its file: JPEG 2000 needs half as much."""
MAX_WAIT = 60.0
"""Seconds that it may take on the clock: a file server may be slow, the machine busy."""
MAX_MEMORY = 360 << 20
"""Bytes that a worker may ask for (on Linux): 18 million pixels of 16 bits in any compression."""
START = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
"""How workers start: not by fork, for the caller may run threads."""
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
    return _assemble(study, [_load(image.path, size, resize) for image in study.images])


def decode_studies(
    studies: Iterable[Study], size: int, resize: Resize = "squash", workers: int | None = None
) -> Generator[LoadedStudy, None, None]:
    """Read the images of studies in processes; close the iterator to stop them early.

    An image that kills its worker, or needs too much time (`MAX_SECONDS`, `SECONDS_PER_BYTE`,
    `MAX_WAIT`) or memory (`MAX_MEMORY`), becomes a reject. A few images a worker wait in memory.

    Args:
        studies: With readable paths.
        size: Side S of the square images in pixels.
        resize: How images become square.
        workers: Processes; None for one a processor.

    Yields:
        Each study, in order.
    """
    crew = _Crew(workers or os.cpu_count() or 1)
    waiting: deque[tuple[Study, list[_Task]]] = deque()
    try:
        for study in studies:
            tasks = [_Task((image.path, size, resize)) for image in study.images]
            waiting.append((study, tasks))
            crew.add(tasks)
            while crew.open_tasks >= crew.window:
                yield crew.finish(*waiting.popleft())
        while waiting:
            yield crew.finish(*waiting.popleft())
    finally:
        crew.dismiss()


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """Pixels or, if there are none, the reason; and what is doubtful about the image.

    Attributes:
        pixels: uint8 (S, S).
        why_not: One line.
        doubts: Why it may not be a chest X-ray.
        shape: Height and width before it became square.
    """

    pixels: npt.NDArray[np.uint8] | None
    why_not: str = ""
    doubts: tuple[Doubt, ...] = ()
    shape: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _Task:
    arguments: tuple[str, int, Resize]
    result: LoadedImage | None = None


@dataclass(slots=True, eq=False)
class _Worker:
    process: Any
    pipe: connection.Connection
    tasks: deque[_Task] = field(default_factory=deque)  # the first one is being decoded
    since: float = 0.0


def start_worker() -> tuple[Any, connection.Connection]:
    """A process that decodes images under limits of time and memory, and the pipe to it.

    It answers (path or content, size, resize, name or None) with a `LoadedImage`, or dies.
    """
    context: Any = get_context(START)
    if START == "forkserver":
        context.set_forkserver_preload(["__main__", __name__])
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that its death ends the pipe
    return process, ours


class _Crew:
    """Worker processes; they start when there is work, and are replaced when they die."""

    def __init__(self, size: int) -> None:
        self.window = max(_AHEAD, _WINDOW * size)
        self.open_tasks = 0
        self._size = size
        self._todo: deque[_Task] = deque()
        self._workers: list[_Worker] = []

    def add(self, tasks: list[_Task]) -> None:
        self._todo.extend(tasks)
        self.open_tasks += len(tasks)
        self._hand_out()

    def finish(self, study: Study, tasks: list[_Task]) -> LoadedStudy:
        """Wait for the images of a study."""
        while any(task.result is None for task in tasks):
            self._hand_out()
            self._collect()
        self.open_tasks -= len(tasks)
        return _assemble(study, [task.result for task in tasks if task.result is not None])

    def dismiss(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def _hand_out(self) -> None:
        while self._todo:
            worker = min(self._workers, key=lambda w: len(w.tasks), default=None)
            if (worker is None or worker.tasks) and len(self._workers) < self._size:
                worker = self._hire()
            if worker is None or len(worker.tasks) >= _AHEAD:
                return
            task = self._todo.popleft()
            if not worker.tasks:
                worker.since = time.monotonic()
            worker.tasks.append(task)
            with contextlib.suppress(OSError):  # it has just died: `_collect` will see
                worker.pipe.send(task.arguments)

    def _hire(self) -> _Worker:
        self._workers.append(worker := _Worker(*start_worker()))
        return worker

    def _collect(self) -> None:
        """Take the results that are there, or wait for one, or for a worker to die or be late."""
        busy = {worker.pipe: worker for worker in self._workers if worker.tasks}
        deadline = min(worker.since for worker in busy.values()) + MAX_WAIT
        ready = connection.wait(list(busy), max(0.0, deadline - time.monotonic()))
        for worker in [worker for pipe, worker in busy.items() if pipe in ready]:
            try:
                result = worker.pipe.recv()
            except (EOFError, OSError):
                self._lose(worker)
            else:
                worker.tasks.popleft().result = result
                worker.since = time.monotonic()
        for worker in busy.values() if not ready else ():
            if worker.since + MAX_WAIT <= time.monotonic():
                self._lose(worker, f"not read and decoded within {MAX_WAIT:.0f} s")

    def _lose(self, worker: _Worker, why: str = "") -> None:
        """Bury a worker with the image that it died of; others take its further images."""
        if why:
            worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        path, *_ = worker.tasks[0].arguments
        why = why or cause_of_death(worker.process.exitcode)
        worker.tasks.popleft().result = LoadedImage(None, f"{path}: {why}")
        self._todo.extendleft(reversed(worker.tasks))


def cause_of_death(exitcode: int | None) -> str:
    """What the end of a worker says about its image."""
    if exitcode == -getattr(signal, "SIGPROF", 0):
        return "takes too long to decode; damaged, or too large"
    if exitcode == -getattr(signal, "SIGKILL", 0):
        return "its decoder was killed; the machine may be out of memory"
    return f"damaged, or too large (its decoder crashes with {exitcode})"


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


def _load(source: str | bytes, size: int, resize: Resize, name: str | None = None) -> LoadedImage:
    name = name or (source if isinstance(source, str) else "image")
    try:
        picture = read_doubtful(source, name=name)
        pixels = resize_square(picture.grey, size, resize, picture.aspect)
    except ImageError as error:
        return LoadedImage(None, str(error))
    except MemoryError:
        return LoadedImage(None, f"{name}: needs too much memory to decode")
    return LoadedImage(pixels, doubts=picture.doubts, shape=shape_of(picture))


def _work(pipe: connection.Connection) -> None:
    """What a worker does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells it when to stop
    _be_quiet()
    _limit_memory()
    while True:
        try:
            arguments = pipe.recv()
        except (EOFError, OSError):
            return
        _limit_time(MAX_SECONDS + SECONDS_PER_BYTE * _bytes(arguments[0]))
        result = _load(*arguments)
        _limit_time(0)
        pipe.send(result)


def _be_quiet() -> None:
    """The C libraries print what they find, which may be the text of a header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _bytes(source: str | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        return Path(source).stat().st_size
    except (OSError, ValueError):
        return 0


def _limit_time(seconds: float) -> None:
    """Die by SIGPROF after so much processor time (0: no limit), even if the parent is gone."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    if sys.platform != "linux":  # elsewhere the limit is not enforced, or counts other things
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MAX_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
