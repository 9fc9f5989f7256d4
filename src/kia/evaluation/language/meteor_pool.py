"""METEOR beside the other scorers: a thread waits for each process, two where reports are many."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from kia.evaluation.language.java import MeteorProcess, MeteorScores

_STUDIES_WORTH_TWO = 1500  # below this a second process costs more than it saves


class MeteorPool:
    """One METEOR process, or two for many studies; each has its thread.

    Args:
        studies: How many references there are.

    Raises:
        JavaUnavailable: Java or the METEOR jar is missing.
    """

    def __init__(self, studies: int) -> None:
        many = studies >= _STUDIES_WORTH_TWO and (os.cpu_count() or 1) > 1
        self.processes: list[MeteorProcess] = []
        try:
            for _ in range(2 if many else 1):
                self.processes.append(MeteorProcess())
        except BaseException:
            for process in self.processes:
                process.close()
            raise
        self._threads = [ThreadPoolExecutor(1, "meteor") for _ in self.processes]

    def submit(self, turn: int, hyps: Sequence[str], refs: Sequence[str]) -> Future[MeteorScores]:
        """Score one set of tokenised reports; returns at once.

        Args:
            turn: Sets of the same turn go to the same process, which remembers what it scored.
            hyps: Generated reports.
            refs: Reference reports, same length and order.
        """
        index = turn % len(self.processes)
        return self._threads[index].submit(self.processes[index].score, hyps, refs)

    def close(self) -> None:
        """End processes and threads; what was submitted and is not done fails. Safe twice."""
        for process in self.processes:
            process.close()
        for thread in self._threads:
            thread.shutdown(cancel_futures=True)
