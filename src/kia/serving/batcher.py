"""One thread that has the model to itself, and gives it the requests that wait together."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from kia.errors import KIAError

_STOPPING = "the server is stopping"
REST = 1.0
"""Seconds without an item, after which there is time for other things."""

Work = Callable[[list[Any]], Sequence[Any]]
"""Turns items into as many results. Items of equal works are taken together."""


class Busy(KIAError):
    """Too many requests wait already; try again later."""


@dataclass(eq=False, slots=True)
class _Job:
    work: Work
    item: Any
    result: "Future[Any]" = field(default_factory=Future)


class Batcher:
    """Runs what is handed to it, in order, in one thread.

    Args:
        most: Items taken together.
        wait: Seconds that the first of them waits for others.
        queue: Items that may wait.
        on_batch: Told the number of items and the seconds of each batch.
        on_rest: Called once when nothing has come for a second after a batch.
    """

    def __init__(
        self,
        *,
        most: int,
        wait: float,
        queue: int,
        on_batch: Callable[[int, float], None] = lambda items, seconds: None,
        on_rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._most, self._wait, self._queue = most, wait, queue
        self._on_batch, self._on_rest = on_batch, on_rest
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._since = math.inf  # when the work under way began
        self._thread = threading.Thread(target=self._run, name="kia-model", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self, within: float | None = None) -> bool:
        """Finishes what waits, and ends the thread; what is handed in later is refused.

        Args:
            within: Seconds that this may take; what waits then is refused too.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident:
            self._thread.join(within)
        with self._changed:
            left, self._jobs = self._jobs, []
        for job in left:
            if job.result.set_running_or_notify_cancel():
                job.result.set_exception(Busy(_STOPPING))
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; it may hang."""
        return self._thread.is_alive() and not self._closed

    @property
    def busy_for(self) -> float:
        """Seconds that the batch under way has taken; 0 if there is none."""
        return max(0.0, time.monotonic() - self._since)

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(self, work: Work, item: Any) -> "Future[Any]":
        """Hands in an item; what is cancelled before its turn costs nothing.

        Raises:
            Busy: The queue is full, or the batcher closed.
        """
        job = _Job(work, item)
        with self._changed:
            if self._closed:
                raise Busy(_STOPPING)
            if len(self._jobs) >= self._queue:
                raise Busy(f"{len(self._jobs)} requests wait already; try again later")
            self._jobs.append(job)
            self._changed.notify_all()
        return job.result

    def _run(self) -> None:
        while (jobs := self._next()) is not None:
            jobs = [job for job in jobs if job.result.set_running_or_notify_cancel()]
            if not jobs:
                continue
            self._since = since = time.monotonic()
            try:
                results = jobs[0].work([job.item for job in jobs])
                for job, result in zip(jobs, results, strict=True):
                    job.result.set_result(result)
            except BaseException as error:  # the thread must live on; whoever waits is told
                for job in jobs:
                    if not job.result.done():
                        job.result.set_exception(error)
            self._since = math.inf
            self._on_batch(len(jobs), time.monotonic() - since)

    def _next(self) -> list[_Job] | None:
        """The next batch, or None once the batcher is closed and nothing waits."""
        with self._changed:
            came = self._changed.wait_for(self._may_go_on, REST)
        if not came:  # the lock is free meanwhile: who hands in does not wait
            self._on_rest()
        with self._changed:
            self._changed.wait_for(self._may_go_on)
            if not self._jobs:
                return None
            work, until = self._jobs[0].work, time.monotonic() + self._wait
            while len(batch := self._of(work)) < self._most and not self._closed:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            self._jobs = [job for job in self._jobs if job not in batch]
            return batch

    def _may_go_on(self) -> bool:
        return bool(self._jobs) or self._closed

    def _of(self, work: Work) -> list[_Job]:
        return [job for job in self._jobs if job.work == work][: self._most]
