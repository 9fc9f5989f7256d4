"""One thread, batches of what waits together, and nothing lost."""

import threading
import time
from concurrent.futures import CancelledError

import pytest

from kia.serving.batcher import Batcher, Busy


class Recorder:
    """Doubles numbers; keeps the batches; can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.busy = threading.Event()

    def __call__(self, items: list[int]) -> list[int]:
        self.busy.set()
        self.go.wait(10)
        self.batches.append(items)
        return [2 * item for item in items]


@pytest.fixture
def make():
    made = []

    def batcher(most=4, wait=0.0, queue=100, **more) -> Batcher:
        made.append(Batcher(most=most, wait=wait, queue=queue, **more))
        made[-1].start()
        return made[-1]

    yield batcher
    for one in made:
        one.close()


def held(batcher: Batcher, work: Recorder) -> None:
    """Lets the thread wait inside a first batch, so that what follows has to queue."""
    work.go.clear()
    batcher.submit(work, 0)
    assert work.busy.wait(10)


def test_what_waits_together_is_taken_together_and_in_order(make):
    batcher, work = make(), Recorder()
    held(batcher, work)
    results = [batcher.submit(work, number) for number in range(1, 8)]
    work.go.set()
    assert [result.result(10) for result in results] == [2, 4, 6, 8, 10, 12, 14]
    assert work.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_other_work_waits_for_its_own_turn(make):
    batcher, work, other = make(), Recorder(), Recorder()
    held(batcher, work)
    results = [batcher.submit((work, other)[n % 2], n) for n in range(6)]
    work.go.set()
    assert [result.result(10) for result in results] == [0, 2, 4, 6, 8, 10]
    assert (work.batches, other.batches) == ([[0], [0, 2, 4]], [[1, 3, 5]])


def test_the_first_waits_a_moment_for_others(make):
    batcher, work = make(wait=5.0, most=2), Recorder()
    first = batcher.submit(work, 1)
    time.sleep(0.05)
    assert not first.done()
    batcher.submit(work, 2)  # now it is full
    assert first.result(2) == 2 and work.batches == [[1, 2]]


def test_what_is_cancelled_in_the_queue_is_never_computed(make):
    batcher, work = make(), Recorder()
    held(batcher, work)
    gone, kept = batcher.submit(work, 1), batcher.submit(work, 2)
    assert gone.cancel()
    work.go.set()
    assert kept.result(10) == 4 and work.batches == [[0], [2]]
    with pytest.raises(CancelledError):
        gone.result()


def test_a_full_queue_refuses(make):
    batcher, work = make(queue=2), Recorder()
    held(batcher, work)
    waiting = [batcher.submit(work, 1), batcher.submit(work, 2)]
    with pytest.raises(Busy, match="2 requests wait"):
        batcher.submit(work, 3)
    work.go.set()
    assert [one.result(10) for one in waiting] == [2, 4]
    assert batcher.submit(work, 3).result(10) == 6


def test_a_failure_is_told_to_its_batch_and_the_thread_lives_on(make):
    batcher, work = make(), Recorder()

    def failing(items):
        raise MemoryError("no")

    with pytest.raises(MemoryError):
        batcher.submit(failing, 1).result(10)
    with pytest.raises(ValueError):
        batcher.submit(lambda items: [], 1).result(10)  # a result for each is owed
    assert batcher.submit(work, 1).result(10) == 2 and batcher.alive


def test_closing_finishes_what_waits_and_refuses_more(make):
    batcher, work = make(most=1), Recorder()
    held(batcher, work)
    waiting = [batcher.submit(work, number) for number in (1, 2)]
    threading.Timer(0.05, work.go.set).start()
    batcher.close()
    assert [one.result(0) for one in waiting] == [2, 4] and not batcher.alive
    with pytest.raises(Busy):
        batcher.submit(work, 3)


def test_batches_are_counted(make):
    counted: list[int] = []
    batcher = make(on_batch=lambda items, seconds: counted.append(items))
    batcher.submit(Recorder(), 1).result(10)
    batcher.close()
    assert counted == [1]


def test_rest_is_told_once_and_not_while_there_is_work(make, monkeypatch):
    monkeypatch.setattr("kia.serving.batcher.REST", 0.3)
    rests: list[float] = []
    recorder = Recorder()
    batcher = make(on_rest=lambda: rests.append(time.monotonic()))
    for number in range(5):
        batcher.submit(recorder, number).result(5)
        time.sleep(0.02)
    last = time.monotonic()
    assert not rests
    time.sleep(1.2)
    assert len(rests) == 1 and rests[0] - last > 0.2
    batcher.submit(recorder, 7).result(5)
    time.sleep(1.2)
    assert len(rests) == 2
