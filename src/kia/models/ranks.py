"""Ranks: the processes of one training, and what they tell each other. Alone, nothing happens.

Every function but `count`, `own` and `share` must be called by all ranks in the same order. What
Python reads (shapes, flags, counts, texts) travels between CPUs, so that no GPU is waited for.
"""

import functools
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Rows = TypeVar("Rows", bound=Any)


def count() -> int:
    """Number of ranks; 1 outside `accelerate launch` and its like."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def own() -> int:
    """Number of this rank, from 0; rank 0 alone writes files."""
    return dist.get_rank() if count() > 1 else 0


def share(items: Rows) -> Rows:
    """This rank's slice of a list or array; the slices in the order of ranks are all of it."""
    return items[len(items) * own() // count() : len(items) * (own() + 1) // count()]


class _Sum(torch.autograd.Function):
    """The sum over ranks; the loss is one too, so gradients are summed alike."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=_group(x))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.apply(gradients[0])


def summed(x: Tensor) -> Tensor:
    """The sum of every rank's tensor of this shape, with its gradient."""
    return x if count() == 1 else _Sum.apply(x)


@torch.no_grad()
def gathered(x: Tensor) -> Tensor:
    """The rows (n, …) of all ranks, in the order of ranks, without gradient.

    Ranks may have unequal n, or none. Shorter rows are filled up with zeros.
    """
    if count() == 1:
        return x
    plain = x.to(torch.uint8) if x.dtype == torch.bool else x
    shapes = _shapes(plain)
    filled = plain.new_zeros([max(sizes) for sizes in zip(*shapes, strict=True)])
    filled[tuple(slice(size) for size in plain.shape)] = plain
    everyone = [torch.empty_like(filled) for _ in shapes]
    dist.all_gather(everyone, filled, group=_group(x))
    rows = [part[: shape[0]] for part, shape in zip(everyone, shapes, strict=True)]
    return torch.cat(rows).to(x.dtype)


def rows_before(rows: int) -> int:
    """How many rows the ranks before this one have, where this one has `rows`."""
    if count() == 1:
        return 0
    return sum(shape[0] for shape in _shapes(torch.empty(rows))[: own()])


@torch.no_grad()
def from_first(x: Tensor) -> Tensor:
    """What rank 0 has, on every rank; `x` says shape and type, and is overwritten elsewhere."""
    if count() > 1:
        dist.broadcast(x, 0, group=_group(x))
    return x


def totals(numbers: Sequence[float]) -> list[float]:
    """The sums over ranks of a list of numbers, in double precision."""
    if count() == 1:
        return list(numbers)
    sums = torch.tensor(numbers, dtype=torch.float64)
    dist.all_reduce(sums, group=_group(sums))
    return sums.tolist()


def any_of(flag: bool) -> bool:
    """Whether any rank says yes."""
    return totals([flag])[0] > 0


def gathered_texts(texts: Sequence[str]) -> list[str]:
    """The texts of all ranks, in the order of ranks."""
    if count() == 1:
        return list(texts)
    packed = json.dumps(list(texts)).encode()
    pages = gathered(torch.frombuffer(bytearray(packed), dtype=torch.uint8)[None])
    sizes = gathered(torch.tensor([len(packed)]))
    read = (bytes(page[:size].tolist()) for page, size in zip(pages, sizes, strict=True))
    return [text for page in read for text in json.loads(page)]


def _shapes(x: Tensor) -> list[list[int]]:
    """The shape of every rank's tensor."""
    shape = torch.tensor(x.shape)
    everyone = [torch.empty_like(shape) for _ in range(count())]
    dist.all_gather(everyone, shape, group=_group(shape))
    return [found.tolist() for found in everyone]


def _group(x: Tensor) -> Any:
    """The processes as they talk about tensors of this device."""
    return _between_cpus(dist.group.WORLD) if x.device.type == "cpu" else dist.group.WORLD


@functools.lru_cache(maxsize=1)
def _between_cpus(world: Any) -> Any:
    return world if dist.get_backend(world) == "gloo" else dist.new_group(backend="gloo")


def forget() -> None:
    """Lets go of the processes, before their group ends."""
    _between_cpus.cache_clear()
