"""Decodes what strangers upload, in processes that a damaged file may kill (no torch)."""

import asyncio
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from kia.imaging import decoding
from kia.imaging.decoding import (
    MAX_SECONDS,
    SECONDS_PER_BYTE,
    LoadedImage,
    cause_of_loss,
    most_bytes,
    request,
    understood,
)
from kia.imaging.resize import Resize
from kia.processes.child import Child
from kia.processes.crew import TRIES
from kia.processes.messages import Message
from kia.serving.batcher import Busy

BUSY_MACHINE = 3.0
"""Seconds on the clock for each of the processor time that a process has for an image."""
IDLE = 2.0
"""Seconds after which a process that has nothing to do is asked whether it is there."""
PRESENT = 5.0
"""Seconds in which it has to say so, and those that a decoding one is counted on."""
DOUBTFUL = 1.0
"""Seconds that one is counted on that has not said so yet."""
_FIRST_START, _NEXT_START = 60.0, 10.0  # seconds that Python may take; later its files are at hand
_PAUSE = 1.0  # seconds between attempts, where the machine has no more processes
_END = 0.3  # seconds that threads have to see that their processes are gone
_HELLO = Message(None)

_log = logging.getLogger("kia.serving")
T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Job:
    content: bytes
    name: str
    wanted: bool = True  # somebody still waits for it
    result: "Future[LoadedImage]" = field(default_factory=Future)


class Decoder:
    """Decoding processes with limits of time and memory (`kia.imaging.decoding`), never a file.

    A process that dies or hangs is replaced. The image that it had is tried once more, on the new
    one: it need not be to blame.

    Args:
        workers: Processes; as many images are decoded at a time.
        size: Side S of the square images, pixels.
        resize: How images become square.
        longest: Seconds on the clock that one try may take.
    """

    def __init__(self, workers: int, size: int, resize: Resize, longest: float = 20.0) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._posts = [_Post(self._jobs, size, resize, longest) for _ in range(workers)]

    def start(self) -> None:
        """Starts the processes.

        Raises:
            Busy: They do not start.
        """
        for post in self._posts:
            post.hire()
        for post in self._posts:
            post.greet(_FIRST_START)
            post.thread.start()

    @property
    def ready(self) -> bool:
        """Whether some process would decode an image now."""
        return any(post.ready for post in self._posts)

    def close(self) -> None:
        """Ends the threads and processes at once; who still waits for an image is told."""
        for post in self._posts:
            post.stop()
            self._jobs.put(None)
        until = time.monotonic() + _END
        for post in self._posts:
            if post.thread.ident:
                post.thread.join(max(0.0, until - time.monotonic()))
            post.bury()
        while not self._jobs.empty():
            if job := self._jobs.get():
                job.result.set_exception(Busy("the server is stopping"))

    async def decode(self, content: bytes, name: str) -> LoadedImage:
        """Decodes the bytes of a file.

        Args:
            content: PNG, JPEG or DICOM.
            name: What to call it in errors; ends in ".dcm" if only DICOM is expected.

        Raises:
            Busy: The server is stopping, or there is no process left that could.
        """
        job = _Job(content, name)
        self._jobs.put(job)
        try:
            return await asyncio.wrap_future(job.result)
        finally:
            job.wanted = False


class _Post:
    """A thread, and the process that it speaks to."""

    def __init__(
        self, jobs: "queue.SimpleQueue[_Job | None]", size: int, resize: Resize, longest: float
    ) -> None:
        self.thread = threading.Thread(target=self._run, name="kia-decoder", daemon=True)
        self._jobs, self._size, self._resize, self._longest = jobs, size, resize, longest
        self._stopped = threading.Event()
        self._hiring = threading.Lock()
        self._child: Child | None = None
        self._counted_on_until = 0.0

    @property
    def ready(self) -> bool:
        return time.monotonic() < self._counted_on_until and not self._stopped.is_set()

    def stop(self) -> None:
        with self._hiring:
            self._stopped.set()
            if self._child:
                self._child.kill()

    def bury(self) -> int:
        """Ends the process, if there is one; gives its exit code."""
        with self._hiring:
            child, self._child = self._child, None
        self._counted_on_until = 0.0
        return child.end() if child else 0

    def hire(self) -> None:
        """Starts a process, if there is none that lives."""
        if self._child and not self._child.alive:
            self.bury()
        with self._hiring:
            if self._stopped.is_set():
                raise Busy("the server is stopping")
            try:
                self._child = self._child or Child(decoding.WORK)
            except OSError as error:
                raise Busy(f"no process to decode ({error}); try again later") from None

    def greet(self, within: float) -> None:
        """Waits until a new process is there."""
        try:
            self._ask(_HELLO, lambda _: None, within, DOUBTFUL)
        except (EOFError, OSError) as error:
            code = self.bury()
            why = f"{type(error).__name__}, exit code {code}"
            raise Busy(f"decoding processes do not start ({why}); try again later") from None

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._be_there()
                job = self._jobs.get(timeout=IDLE)
            except Busy as error:
                _log.warning("%s", error)
                self._stopped.wait(_PAUSE)
            except queue.Empty:
                self._look()
            else:
                if job and job.result.set_running_or_notify_cancel():
                    self._answer(job)

    def _be_there(self) -> None:
        if not (self._child and self._child.alive):
            self.hire()
            self.greet(_NEXT_START)

    def _look(self) -> None:
        """Finds that an idle process hangs, before that costs a request anything."""
        try:
            self._ask(_HELLO, lambda _: None, PRESENT, DOUBTFUL)
        except (EOFError, OSError) as error:
            self._lose(error)

    def _answer(self, job: _Job) -> None:
        seconds = BUSY_MACHINE * (MAX_SECONDS + SECONDS_PER_BYTE * len(job.content))
        within, why = min(seconds, self._longest), ""
        asked = request(job.content, self._size, self._resize, job.name)
        understand = partial(understood, size=self._size)
        for _ in range(TRIES):
            try:
                self._be_there()
                job.result.set_result(self._ask(asked, understand, within, PRESENT))
                return
            except Busy as error:
                job.result.set_exception(error)
                return
            except (EOFError, OSError) as error:
                why = cause_of_loss(error, self._lose(error), within)
                if not job.wanted:
                    break
        job.result.set_result(LoadedImage(None, f"{job.name}: {why}"))

    def _ask(
        self, asked: Message, understand: Callable[[Message], T], within: float, counted_on: float
    ) -> T:
        """Asks the process, on which nobody counts if it is silent for so many seconds."""
        child = self._child
        if child is None:
            raise EOFError
        since = time.monotonic()
        self._counted_on_until = min(self._counted_on_until, since + counted_on)
        child.send(asked, within)
        left = since + within - time.monotonic()
        found = understand(child.receive(most_bytes(self._size), left))
        self._counted_on_until = math.inf
        return found

    def _lose(self, error: Exception) -> int:
        code = self.bury()
        if not self._stopped.is_set():
            _log.warning("a decoder is replaced: %s, exit code %d", type(error).__name__, code)
        return code
