"""Mean losses between two lines of the log."""

import time
from collections.abc import Mapping

import torch
from torch import Tensor


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

    def add(self, losses: Mapping[str, Tensor], studies: int) -> None:
        """One step's losses and its number of studies; does not wait for the device."""
        zero = torch.zeros((), device=self._device)
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, zero) + value.detach()
        self._studies += studies

    def sums(self) -> dict[str, float]:
        """The sums so far, read from the device."""
        return {name: total.item() for name, total in self._sums.items()}

    @property
    def studies_per_second(self) -> float:
        """Speed since the window was made in this process."""
        return self._studies / (time.monotonic() - self._since)

    @property
    def data_wait(self) -> float:
        """Share of the time since then that was spent waiting for data."""
        return self.waited / (time.monotonic() - self._since)
