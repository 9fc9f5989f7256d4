"""Several runs of one system (training seeds): mean and standard deviation of every number."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from kia.errors import UsageError

_AVERAGED = (
    "protocols",
    "clinical",
    "radgraph_f1",
    "diversity",
    "baselines",
    "prior_comparisons",
    "by",
)


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One result for several runs that were scored against the same references.

    Args:
        results: At least two, from `kia.evaluation.scoreboard.evaluate_systems`.

    Returns:
        The result of the first run, its numbers replaced by means over the runs; "sd" has their
        standard deviations (n − 1 in the denominator) under the same keys, "runs" the results one
        by one, and "confidence" is None: an interval over studies says nothing about seeds.

    Raises:
        UsageError: There are fewer than two results.
    """
    if len(results) < 2:
        raise UsageError("a standard deviation needs at least two files of predictions")
    first = dict(results[0])
    for key in _AVERAGED:
        first[key] = _combine([result[key] for result in results], _mean)
    spread = {key: _combine([result[key] for result in results], _sd) for key in _AVERAGED}
    gains = [result["image_gain"] for result in results]
    if all(gains):
        mean = _mean([gain["value"] for gain in gains])
        first["image_gain"] = {**gains[0], "value": mean, "epoch": None}
    else:
        first["image_gain"] = None
    first["name"] = ", ".join(result["name"] for result in results)
    return {**first, "confidence": None, "sd": spread, "runs": list(results)}


def _combine(values: Sequence[Any], combine: Any) -> Any:
    """The same tree with its numbers combined; None where one of them is missing."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], Mapping):
        keys = [key for key in values[0] if all(key in value for value in values)]
        return {key: _combine([value[key] for value in values], combine) for key in keys}
    if all(value == values[0] for value in values):  # counts stay whole
        return values[0] if combine is _mean else 0.0
    return combine(values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sd(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
