"""Several ways to do the same, timed in turn, so that all meet the same load of the machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from kia.training.probe import seconds_of


def time_in_turn(
    runs: Mapping[str, Callable[[], Any]],
    rounds: int,
    device: torch.device,
    on_round: Callable[[int], None] = lambda done: None,
) -> dict[str, list[float]]:
    """Seconds of each run in each round; one round more comes first and does not count.

    Args:
        runs: What is timed, by name.
        rounds: Times of each.
        device: That works for them; it is waited for.
        on_round: Told the number of rounds done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for done in range(rounds + 1):
        for name, run in runs.items():
            seconds[name].append(seconds_of(run, device))
        on_round(done)
    return {name: each[1:] for name, each in seconds.items()}


def ratios(seconds: Sequence[float], others: Sequence[float]) -> list[float]:
    """How many times as long the others took, round by round."""
    return [other / own for own, other in zip(seconds, others, strict=True)]
