"""Several runs of one system (training seeds): mean and standard deviation of every number."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kia.errors import UsageError
from kia.evaluation.statistics.intervals import Measure

_AVERAGED = (
    "protocols",
    "clinical",
    "clinical_errors",
    "graph_f1_kia",
    "radgraph_f1",
    "diversity",
    "baselines",
    "prior_comparisons",
    "by",
    "extra",
    "phantom_findings",
)


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One result for several runs that were scored against the same references.

    Args:
        results: At least two, from `kia.evaluation.board.scoreboard.Evaluation.results`.

    Returns:
        The result of the first run, its numbers replaced by means over the runs; "sd" has their
        standard deviations (n − 1 in the denominator) under the same keys, "runs" the results one
        by one, with what compares each with another system. "confidence" is None: an interval over
        studies says nothing about seeds.

    Raises:
        UsageError: There are fewer than two results.
    """
    if len(results) < 2:
        raise UsageError("a standard deviation needs at least two files of predictions")
    found, spread = dict(results[0]), {}
    found.pop("against", None)
    for key in _AVERAGED:
        if all(key in result for result in results):
            values = [result[key] for result in results]
            found[key], spread[key] = _combine(values, _mean), _combine(values, _sd)
        else:  # a tool that failed on one of them
            found.pop(key, None)
    gains = [result["image_gain"] for result in results]
    found["image_gain"] = None
    if all(gains):
        values = [gain["value"] for gain in gains]
        found["image_gain"] = {**gains[0], "value": _mean(values), "epoch": None}
        spread["image_gain"] = {"value": _sd(values)}
    found["name"] = ", ".join(result["name"] for result in results)
    return {**found, "confidence": None, "sd": spread, "runs": list(results)}


def mean_measure(runs: Sequence[Measure]) -> Measure:
    """The mean scores of several runs, so that studies can be resampled for all of them together.

    Args:
        runs: The same measure of each run, over the same studies in the same order, at least one.
    """
    if len(runs) == 1:
        return runs[0]
    edges = np.cumsum([run.statistics.shape[1] for run in runs])[:-1]

    def formula(sums: np.ndarray) -> dict[str, np.ndarray]:
        parts = np.split(sums, edges, axis=1)
        found = [run.formula(part) for run, part in zip(runs, parts, strict=True)]
        names = [name for name in found[0] if all(name in values for values in found)]
        return {name: np.mean([values[name] for values in found], axis=0) for name in names}

    return Measure(np.concatenate([run.statistics for run in runs], axis=1), formula)


def _combine(values: Sequence[Any], combine: Callable[[Sequence[float]], float]) -> Any:
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
