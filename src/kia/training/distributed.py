"""The processes of a training: joining them, work for the first alone, gradients of all.

`accelerate launch` (or torchrun) starts them; accelerate's PartialState reads what it left in the
environment, picks the device and opens the process group. Its `prepare` is not used: it repeats
studies to even out the ranks, and its DDP takes the mean of gradients where we need sums that
were divided by the counts of all ranks.
"""

import atexit
import functools
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed as dist

# before there is a group: its functions hold the group of that moment in their defaults, and with
# it gloo's threads beyond `leave`
import torch.distributed.nn.functional
from accelerate import PartialState
from torch import Tensor, nn

from kia.config import TrainConfig
from kia.errors import ConfigError, KIAError, RunError
from kia.models import ranks

T = TypeVar("T")
BUCKET = 2**24  # numbers summed in one message


@functools.cache
def join() -> torch.device:
    """Meets the other ranks, if there are any; returns this one's device."""
    device: torch.device = PartialState(cpu=not torch.accelerator.is_available()).device
    if ranks.count() > 1:
        atexit.register(leave)
    return device


def leave() -> None:
    """Ends the group and its threads, while Python can still take back what these hold.

    A gloo thread that lets go of a tensor after the interpreter has begun to end aborts the
    process. Whoever remembers the group keeps its threads alive.
    """
    ranks.forget()
    if dist.is_initialized():
        dist.destroy_process_group()


def check_batch(config: TrainConfig) -> None:
    """Refuses more ranks than a part of a batch has studies.

    Raises:
        ConfigError: Some ranks would never have work.
    """
    if config.batch_size // config.accumulate < ranks.count():
        raise ConfigError(
            f"train.batch_size {config.batch_size} in {config.accumulate} part(s) is too small for "
            f"{ranks.count()} processes: it counts the studies of all of them"
        )


def on_first(work: Callable[[], T], then: Callable[[], T]) -> T:
    """Rank 0 does `work`; when it is done, the others do `then`.

    Raises:
        KIAError: Rank 0's, there; a RunError that points to it elsewhere.
    """
    error: KIAError | None = None
    if not ranks.own():
        try:
            result = work()
        except KIAError as caught:
            error = caught
    if ranks.any_of(error is not None):
        raise error or RunError("process 0 has stopped; its message says why")
    return then() if ranks.own() else result


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces each gradient by its sum over ranks.

    Which parameters have one is the same on all ranks, because all compute the same tasks, if
    need be on no study.
    """
    if ranks.count() == 1:
        return
    bucket: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        bucket.append(parameter.grad)
        if sum(gradient.numel() for gradient in bucket) >= BUCKET:
            _sum(bucket)
            bucket = []
    _sum(bucket)


def _sum(gradients: list[Tensor]) -> None:
    if not gradients:
        return
    flat = ranks.summed(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


@torch.no_grad()
def take_from_first(module: nn.Module) -> None:
    """Gives every rank the weights and buffers of rank 0."""
    for tensor in module.state_dict().values():
        ranks.from_first(tensor)
