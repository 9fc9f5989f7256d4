"""One training step, counted without contents or measured on the device."""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from kia.data.batches.batch import Batch
from kia.tasks.joint import JointObjective
from kia.training.precision import Precision
from kia.training.update import update


@dataclass(frozen=True)
class Count:
    """A forward pass in numbers.

    Attributes:
        operations: Floating-point operations of matrix products and convolutions.
        kept: Bytes of all tensors that autograd keeps for the backward pass, weights excepted.
    """

    operations: int
    kept: int


def count(
    objective: JointObjective, batch: Batch, precision: Precision, *, joint: bool = True
) -> Count:
    """Counts a forward pass of a batch."""
    own = {_storage(t) for t in (*objective.parameters(), *objective.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in own:  # a view keeps the whole tensor
            kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    counter = FlopCounterMode(display=False)
    with precision.autocast(), counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        result = objective(batch, joint=joint)  # holds what is kept, so that no number comes twice
        del result
    return Count(counter.get_total_flops(), sum(kept.values()))


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class ShapesOnly:
    """An objective whose weights are fake tensors: they have shapes, and no contents."""

    def __init__(self, objective: JointObjective, device: torch.device) -> None:
        """Takes over an objective on the meta device.

        `device` decides which attention is computed, and so what it keeps.
        """
        self.objective, self._device, self._mode = objective.train(), device, FakeTensorMode()
        with self._mode:
            objective._apply(lambda t: torch.empty(t.shape, dtype=t.dtype, device=device))

    def count(self, batch: Batch, studies: int, precision: Precision, *, joint: bool) -> Count:
        """Counts a forward pass of so many studies like those of `batch`, with all their views."""
        have = len(batch.studies)

        def enlarged(tensor: Tensor | None) -> Tensor | None:
            if tensor is None:
                return None
            shape = (tensor.shape[0] * studies // have, *tensor.shape[1:])
            return torch.empty(shape, dtype=tensor.dtype, device=self._device)

        with self._mode:
            shapes: dict[str, Any] = {
                field.name: enlarged(getattr(batch, field.name)) for field in fields(batch)
            }
            shapes["view_mask"] = None  # it has contents, by which absent views are left out
            return count(self.objective, Batch(**shapes), precision, joint=joint)


@dataclass(frozen=True)
class Speed:
    """How fast a device is.

    Attributes:
        operation: Seconds of a whole step for each operation of its forward pass.
        weight: Seconds of an update for each trained weight.
    """

    operation: float
    weight: float


def measure(
    objective: JointObjective,
    optimizer: torch.optim.Optimizer,
    build: Callable[[int], Batch],
    precision: Precision,
    *,
    joint: bool,
    seconds: float,
) -> Speed:
    """Times a step on two studies, then two on as many as take about `seconds`; the best counts.

    Args:
        objective: On the device.
        optimizer: Of its weights.
        build: Makes a batch of so many studies, or fewer where there are fewer.
        precision: To compute in.
        joint: Whether this is stage 1.
        seconds: Wanted for the longest step.
    """
    device = objective.model.device

    def step(batch: Batch) -> float:
        def run() -> None:
            update(objective, optimizer, [batch], precision, joint=joint, clip=1.0)

        return seconds_of(run, device)

    def move() -> None:
        optimizer.step()
        if joint:
            objective.after_step()

    studies, steps = 2, []
    for _ in range(3):  # the first step is slow for being the first, any for other programs
        batch = build(studies).to(device)
        operations = count(objective, batch, precision, joint=joint).operations
        took = step(batch)
        steps.append((took, operations))
        if sum(spent for spent, _ in steps) > 3 * seconds:
            break
        studies = max(2, int(len(batch.studies) * seconds / took))
    moving = min(seconds_of(move, device), seconds_of(move, device))
    weights = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    each = min(max(0.0, took - moving) / operations for took, operations in steps)
    return Speed(each, moving / weights)


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Seconds that `run` takes, the work that it left to the device included."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    began = time.perf_counter()
    run()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - began
