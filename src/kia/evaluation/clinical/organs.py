"""Organ by organ: do generated reports call the same organs abnormal as the references?

What a report says of an organ is read by `kia.knowledge.structure`; uncertain counts as abnormal.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from kia.errors import DataError
from kia.evaluation.clinical.efficacy import SCORES, nested, scores
from kia.evaluation.statistics.intervals import Measure
from kia.knowledge.organs import ORGANS
from kia.knowledge.structure import STATES, structure_report

ABNORMAL = ("abnormal", "uncertain")
"""States that count as abnormal."""
COLUMNS = (*SCORES, "same_state")
"""Scores of an organ; the last is the share of studies in which both sides say the same of it."""
_COUNTS = 4 * len(ORGANS)  # hits, calls, truths and equal states of each organ


def organ_states(reports: Sequence[str]) -> np.ndarray:
    """(n, 6) what each report says of each organ, as places in `STATES`."""
    return np.array([_states_of(report) for report in reports]).reshape(-1, len(ORGANS))


@lru_cache(maxsize=65_536)  # references and baselines come again with each system
def _states_of(report: str) -> tuple[int, ...]:
    said = structure_report(report)
    return tuple(STATES.index(said[organ]["state"]) for organ in ORGANS)


def organ_measure(hyps: Sequence[str], refs: Sequence[str]) -> Measure:
    """The scores of each organ and their means, ready to be resampled.

    Args:
        hyps: Generated reports.
        refs: References, same length and order.

    Returns:
        A measure whose values are named "lungs.f1", "lungs.same_state" … and "macro.f1" ….

    Raises:
        DataError: The lengths differ.
    """
    if len(hyps) != len(refs):
        raise DataError(f"{len(hyps)} reports for {len(refs)} references")
    said, true = organ_states(hyps), organ_states(refs)
    places = [STATES.index(state) for state in ABNORMAL]
    called, there = np.isin(said, places), np.isin(true, places)
    parts = [called & there, called, there, said == true]
    ones = np.ones((len(refs), 1))
    return Measure(np.concatenate([*parts, ones], axis=1).astype(float), _values)


def _values(sums: np.ndarray) -> dict[str, np.ndarray]:
    hits, calls, truths, same = sums[:, :_COUNTS].reshape(len(sums), 4, -1).swapaxes(0, 1)
    each = np.stack([*scores(hits, calls, truths), same / sums[:, -1:]])  # (4, R, 6)
    values = {
        f"{organ}.{name}": each[row, :, column]
        for column, organ in enumerate(ORGANS)
        for row, name in enumerate(COLUMNS)
    }
    means = each.mean(axis=2)
    return values | {f"macro.{name}": means[row] for row, name in enumerate(COLUMNS)}


def organ_grid(measure: Measure) -> dict[str, Any]:
    """Organ, and "macro" → its scores (0–1); "support" is how many references call it abnormal."""
    grid = nested(measure.values())
    support = measure.statistics[:, 2 * len(ORGANS) : 3 * len(ORGANS)].sum(axis=0)
    for organ, count in zip(ORGANS, support, strict=True):
        grid[organ]["support"] = int(count)
    return grid
