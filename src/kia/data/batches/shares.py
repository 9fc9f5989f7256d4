"""Shares: what one rank reads of a batch, part by part."""

import signal
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from kia.data.batches.batch import Batch, EpochBatches
from kia.errors import KIAError
from kia.models import ranks


class SharedBatches(Dataset[list[Batch]]):
    """The batches of an epoch as one of several ranks reads them.

    A batch is cut into parts that are computed one after another, each part into one share a
    rank, in order and with sizes that differ by one at most. So every study comes once in an
    epoch, whatever the number of ranks; a rank may have no study of a small last batch.
    """

    def __init__(self, epoch: EpochBatches, *, parts: int, rank: int, ranks: int) -> None:
        self.epoch, self.parts, self.rank, self.ranks = epoch, parts, rank, ranks

    def __len__(self) -> int:
        return len(self.epoch)

    def __getitem__(self, number: int) -> list[Batch]:
        """This rank's share of each part of the batch with this number."""
        parts = np.array_split(self.epoch.batches[number], self.parts)
        return [self._share(number, part) for part in parts if len(part)]

    def _share(self, number: int, part: NDArray[np.int64]) -> Batch:
        share = np.array_split(part, self.ranks)[self.rank]
        # as many views as the whole part has: absent ones count in the batch norm of a stem
        views = max(len(self.epoch.builder.dataset.views(int(study))) for study in part)
        if len(share):
            return self.epoch.build(number, share, views)
        return self.epoch.build(number, part[:1], views).without_studies()


def own_batches(epoch: EpochBatches, parts: int, workers: int) -> Iterator[list[Batch]]:
    """The batches of an epoch as this rank reads them.

    Args:
        epoch: In its own order.
        parts: Of each batch, computed one after another.
        workers: Loader processes; 0 loads in this one.

    Raises:
        DataError: A file of the data set is no longer as it was written.
    """
    share = SharedBatches(epoch, parts=parts, rank=ranks.own(), ranks=ranks.count())
    loader = DataLoader(
        _Answers(share),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=_leave_signals_to_the_run,
    )
    for answer in loader:
        if isinstance(answer, KIAError):
            raise answer
        yield answer


class _Answers(Dataset[list[Batch] | KIAError]):
    """A batch, or why there is none: torch would make a traceback of the error of a process."""

    def __init__(self, batches: SharedBatches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> list[Batch] | KIAError:
        try:
            return self.batches[number]
        except KIAError as error:
            return error


def _leave_signals_to_the_run(_: int) -> None:
    """A loader process that dies of a signal to the whole group would take the run with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
