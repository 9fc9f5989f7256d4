"""Several children that share out the work, and are replaced when they die or hang."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from signal import SIGKILL
from typing import Any, cast

from kia.errors import KIAError
from kia.processes.child import Child
from kia.processes.messages import Message

TRIES = 2
"""The second one is on another child: the first may have died of something else than the task."""
_ALL_OF_IT = 1 << 30  # bytes of an answer of a child that reads nothing of strangers


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of a task without an answer.

    Attributes:
        error: What its child did: TimeoutError if it was late, Garbled if it answered nonsense,
            EOFError or another OSError if it died.
        exitcode: Of that child.
    """

    error: Exception
    exitcode: int


@dataclass(slots=True, eq=False)
class Task:
    """Something that a child is to answer.

    Attributes:
        request: What it is sent.
        outcome: What came of it: `Lost`, or the answer as the crew understands it; None until then.
    """

    request: Message
    outcome: Any = None
    tries: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    child: Child
    tasks: deque[Task] = field(default_factory=deque)  # the first one is being worked on
    since: float = 0.0


class Crew:
    """Children; they start when there is work.

    Args:
        function: What each runs: it answers one message after another.
        size: Children at most.
        most: Bytes that an answer may have.
        understand: What an answer means; raises Garbled if it is nonsense.
        ahead: Tasks that a child has at hand, so that it need not wait for the next. More than one
            only if requests are short: to send a long one waits for the child to read it.
        within: Seconds that a task may take; None for any number.
    """

    def __init__(
        self,
        function: str,
        size: int,
        *,
        most: int,
        understand: Callable[[Message], Any],
        ahead: int = 1,
        within: float | None = None,
    ) -> None:
        self.open_tasks = 0
        self._function, self._size = function, size
        self._most, self._understand = most, understand
        self._ahead, self._within = ahead, within
        self._todo: deque[Task] = deque()
        self._workers: list[_Worker] = []

    def add(self, tasks: Sequence[Task]) -> None:
        """Takes on tasks, and starts with those that it can."""
        self._todo.extend(tasks)
        self.open_tasks += len(tasks)
        self._hand_out()

    def finish(self, tasks: Sequence[Task]) -> None:
        """Works until these tasks have an outcome."""
        while any(task.outcome is None for task in tasks):
            self._hand_out()
            self._collect()
        self.open_tasks -= len(tasks)

    def dismiss(self) -> None:
        """Ends the children."""
        for worker in self._workers:
            worker.child.kill()
        for worker in self._workers:
            worker.child.end()
        self._workers.clear()

    def _hand_out(self) -> None:
        for idle in [one for one in self._workers if not (one.tasks or one.child.alive)]:
            idle.child.end()  # it died while it had nothing to do
            self._workers.remove(idle)
        while self._todo:
            worker = min(self._workers, key=lambda one: len(one.tasks), default=None)
            if (worker is None or worker.tasks) and len(self._workers) < self._size:
                self._workers.append(worker := _Worker(Child(self._function)))
            if worker is None or len(worker.tasks) >= self._ahead:
                return
            task = self._todo.popleft()
            if not worker.tasks:
                worker.since = time.monotonic()
            worker.tasks.append(task)
            with suppress(OSError):  # it died, or hangs: `_collect` will see
                worker.child.send(task.request, self._within)

    def _collect(self) -> None:
        """Take the answers that are there, or wait for one, or for a child to die or be late."""
        busy = [worker for worker in self._workers if worker.tasks]
        until = min(map(self._deadline, busy))
        left = None if until == float("inf") else max(0.0, until - time.monotonic())
        ready = wait([worker.child.channel for worker in busy], left)
        for worker in busy:
            if worker.child.channel in ready:
                self._take(worker)
            elif self._deadline(worker) <= time.monotonic() and not ready:
                self._lose(worker, TimeoutError())

    def _take(self, worker: _Worker) -> None:
        try:
            answer = self._understand(worker.child.receive(self._most, self._within))
        except (EOFError, OSError) as error:
            self._lose(worker, error)
        else:
            worker.tasks.popleft().outcome = answer
            worker.since = time.monotonic()

    def _deadline(self, worker: _Worker) -> float:
        return float("inf") if self._within is None else worker.since + self._within

    def _lose(self, worker: _Worker, error: Exception) -> None:
        """Bury a child with the task that it had; others take that again, and its further ones."""
        exitcode = worker.child.end()
        self._workers.remove(worker)
        task = worker.tasks[0]
        task.tries += 1
        if task.tries >= TRIES:
            worker.tasks.popleft().outcome = Lost(error, exitcode)
        self._todo.extendleft(reversed(worker.tasks))


def answers(
    function: str, requests: Iterable[Message], workers: int
) -> Generator[Message, None, None]:
    """What children answer, in order; a few answers wait in memory.

    Args:
        function: What each child runs, with `kia.processes.child.serve`.
        requests: Read as the work goes on.
        workers: Children at most.

    Raises:
        KIAError: A child died, and again another one with the same request.
    """
    crew = Crew(function, workers, most=_ALL_OF_IT, understand=lambda answer: answer)
    waiting: deque[Task] = deque()
    try:
        for request in requests:
            waiting.append(task := Task(request))
            crew.add([task])
            if len(waiting) >= 2 * workers:
                yield _answer(crew, waiting.popleft())
        while waiting:
            yield _answer(crew, waiting.popleft())
    finally:
        crew.dismiss()


def _answer(crew: Crew, task: Task) -> Message:
    crew.finish([task])
    if not isinstance(task.outcome, Lost):
        return cast(Message, task.outcome)
    code = task.outcome.exitcode
    hint = "; the machine may be out of memory: try fewer --workers" if code == -SIGKILL else ""
    raise KIAError(f"a process of kia ended with {code}{hint}")
