"""Mean losses between two lines of the log."""

import math
import time
from collections.abc import Mapping

import torch
from torch import Tensor

IN_EVERY_STEP = ("rg", "gradient_norm")  # the rest is in those of all tasks


class NotFinite(Exception):
    """A loss or gradient since the last line of the log was not finite; the weights are spoilt."""


class LossWindow:
    """Sums of losses since the last line of the log, kept on the device.

    A checkpoint records the sums, so that a run continued inside a window logs what the
    uninterrupted one would have.
    """

    def __init__(self, device: torch.device, sums: Mapping[str, float] | None = None) -> None:
        """An empty window, or the one of a checkpoint (`sums` of an earlier window)."""
        self._device = device
        self._sums = {
            name: torch.tensor(value, dtype=torch.float32, device=device)
            for name, value in (sums or {}).items()
        }
        self._studies = 0
        self._since = time.monotonic()
        self.waited = 0.0  # seconds for data

    def add(self, losses: Mapping[str, Tensor], studies: int, *, joint: bool) -> None:
        """One step's losses and its number of studies; does not wait for the device.

        Args:
            losses: By name.
            studies: Of the step.
            joint: Whether the step was one of all tasks.
        """
        zero = torch.zeros((), device=self._device)
        steps = {"steps": torch.ones(()), "joint_steps": torch.tensor(float(joint))}
        for name, value in {**losses, **steps}.items():
            self._sums[name] = self._sums.get(name, zero) + value.detach()
        self._studies += studies

    def sums(self) -> dict[str, float]:
        """The sums so far, read from the device; before they are logged or weights are saved.

        Raises:
            NotFinite: One of them is not.
        """
        sums = {name: total.item() for name, total in self._sums.items()}
        bad = [name for name, total in sums.items() if not math.isfinite(total)]
        if bad:
            raise NotFinite(f"{', '.join(bad)} not finite")
        return sums

    def means(self) -> dict[str, float]:
        """The mean of each over the steps that computed it; raises as `sums`."""
        sums = self.sums()
        steps, joint = sums.pop("steps", 1.0), sums.pop("joint_steps", 1.0)  # none left out
        return {
            name: total / (steps if name in IN_EVERY_STEP else joint)
            for name, total in sums.items()
        }

    @property
    def studies_per_second(self) -> float:
        """Speed since the window was made in this process."""
        return self._studies / (time.monotonic() - self._since)

    @property
    def data_wait(self) -> float:
        """Share of the time since then that was spent waiting for data."""
        return self.waited / (time.monotonic() - self._since)
