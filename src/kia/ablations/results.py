"""What an ablation found: the scores of each setting, their average gain, and the paper's order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kia.ablations.settings import ABLATIONS, CE, NLG, Ablation
from kia.evaluation.board.tables import Values, at_path
from kia.evaluation.clinical.efficacy import SCORES
from kia.evaluation.language.scores import METRICS
from kia.evaluation.statistics.intervals import percentile_interval
from kia.evaluation.statistics.seeds import over_seeds

RESAMPLED = (
    *(f"{NLG}.{metric}" for metric in METRICS),
    *(f"{CE}.micro_14.{score}" for score in SCORES),
)
"""Paths of the scores whose bootstrap resamples are kept, for intervals of differences."""

ZERO = 5e-5  # what is printed as 0.0000: nothing can be so many per cent better than that


@dataclass(frozen=True)
class ScoredRun:
    """One trained and scored run.

    Attributes:
        seed: Of its training.
        folder: Of the run.
        result: From `kia.evaluation.board.scoreboard`.
        resampled: Path of `RESAMPLED` → the score of each bootstrap resample, (R,). Resample r is
            of the same studies in all runs, so that runs can be compared within it.
        parameters: Of the model.
    """

    seed: int
    folder: str
    result: Mapping[str, Any]
    resampled: Mapping[str, np.ndarray]
    parameters: int


def average_gain(scores: Mapping[str, Any], baseline: Mapping[str, Any]) -> Any:
    """AVG.Δ: the mean over the NLG metrics of how much better a score is, as a share.

    Paper: Table 3, "the average improvement of all NLG metrics".

    Args:
        scores: Metric → score, or array of scores. Metrics that were not computed are left out.
        baseline: The same of the baseline. A metric at which it has 0 is left out: there is no
            relative improvement on nothing.

    Returns:
        A share (0.1 is 10 % better) or an array of them; None if no metric is left.
    """
    left_out = not_compared(baseline)
    common = [m for m in METRICS if m not in left_out and scores.get(m) is not None]
    if not common:
        return None
    floor = {metric: np.maximum(baseline[metric], ZERO) for metric in common}
    return sum(scores[metric] / floor[metric] - 1 for metric in common) / len(common)


def not_compared(baseline: Mapping[str, Any]) -> list[str]:
    """The metrics that AVG.Δ leaves out: not computed, or 0 for the baseline."""
    return [m for m in METRICS if baseline.get(m) is None or np.mean(baseline[m]) < ZERO]


def ablation_result(name: str, runs: Mapping[str, Sequence[ScoredRun]]) -> dict[str, Any]:
    """What ``kia ablate --json`` writes.

    Args:
        name: A key of `ABLATIONS`.
        runs: Setting → its runs, at least one, of the same seeds in every setting; the baseline,
            if the table has one, and any others of its rows.

    Returns:
        "rows": for each setting its "label", "runs" (folders), "parameters", "result" (from
        `kia.evaluation`, over the seeds if there are several) and "gain" over the baseline, if the
        table has one; "baselines": the gain of constant reports; "claims": the order that the
        paper reports, and whether it holds here. What is uncertain has an "interval" (95 %, one
        seed, over studies) or an "sd" (over seeds).
    """
    ablation = ABLATIONS[name]
    first = next(iter(runs.values()))
    baseline = runs[ablation.baseline] if ablation.baseline else None
    return {
        "ablation": name,
        "title": ablation.title,
        "seeds": [run.seed for run in first],
        "dataset": first[0].result["dataset"],
        "n": first[0].result["n"],
        "rows": [
            {
                "setting": setting,
                "label": label,
                "runs": [run.folder for run in runs[setting]],
                "parameters": runs[setting][0].parameters,
                "result": _over_seeds(runs[setting]),
                "gain": _gain(runs[setting], baseline) if baseline else None,
            }
            for setting, label in ablation.rows.items()
            if setting in runs
        ],
        "baselines": _baseline_gains(runs, baseline) if baseline else {},
        "claims": [_claim(ablation, runs, *pair) for pair in ablation.claims if {*pair} <= {*runs}],
        "version": first[0].result["version"],
    }


def _over_seeds(runs: Sequence[ScoredRun]) -> dict[str, Any]:
    results = [run.result for run in runs]
    return dict(results[0]) if len(results) == 1 else over_seeds(results)


def _mean_scores(runs: Sequence[ScoredRun]) -> dict[str, float | None]:
    return dict(at_path(_over_seeds(runs), NLG.split(".")) or {})


def _language(run: ScoredRun) -> dict[str, float | None]:
    return dict(at_path(run.result, NLG.split(".")) or {})


def _resampled_language(run: ScoredRun) -> dict[str, np.ndarray]:
    return {m: run.resampled[f"{NLG}.{m}"] for m in METRICS if f"{NLG}.{m}" in run.resampled}


def _gain(runs: Sequence[ScoredRun], baseline: Sequence[ScoredRun]) -> dict[str, Any]:
    """Over the mean of the baseline's seeds: then the mean of gains is the gain of the means."""
    scores = _mean_scores(baseline)
    values = [average_gain(_language(run), scores) for run in runs]
    resampled = average_gain(_resampled_language(runs[0]), _resampled_language(baseline[0]))
    return _estimate(values, resampled)


def _estimate(values: Sequence[float | None], resampled: np.ndarray | None) -> dict[str, Any]:
    """A value with its interval over studies (one seed) or its deviation over seeds."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"value": None}
    found: dict[str, Any] = {"value": float(np.mean(known))}
    if len(known) > 1:
        found["sd"] = float(np.std(known, ddof=1))
    elif resampled is not None:
        found["interval"] = list(percentile_interval(resampled))
    return found


def _baseline_gains(
    runs: Mapping[str, Sequence[ScoredRun]], baseline: Sequence[ScoredRun]
) -> dict[str, float | None]:
    scores = _mean_scores(baseline)
    others: Values = next(iter(runs.values()))[0].result["baselines"]
    return {
        key: average_gain(at_path(found, ("r2gen",)) or {}, scores)
        for key, found in others.items()
        if found and key != "nearest"  # which differs from run to run
    }


def _claim(
    ablation: Ablation, runs: Mapping[str, Sequence[ScoredRun]], better: str, worse: str
) -> dict[str, Any]:
    """How far one setting is above another; seeds are compared one by one."""
    found = _estimate(*_differences(ablation, runs, better, worse))
    value = found["value"]
    if value is None:
        certain = False
    elif "sd" in found:
        certain = abs(value) > found["sd"]
    else:
        low, high = found.get("interval", (0, 0))
        certain = low > 0 or high < 0
    names = {"better": better, "worse": worse, "score": ablation.score}
    return {**names, **found, "holds": None if value is None else value > 0, "certain": certain}


def _differences(
    ablation: Ablation, runs: Mapping[str, Sequence[ScoredRun]], better: str, worse: str
) -> tuple[list[float | None], np.ndarray | None]:
    baseline = runs[ablation.baseline] if ablation.baseline else None
    means = _mean_scores(baseline) if baseline else {}

    def value(run: ScoredRun) -> float | None:
        if ablation.score == "gain":
            found = average_gain(_language(run), means)
        else:
            found = at_path(run.result, ablation.score.split("."))
        return None if found is None else float(found)

    def resampled(run: ScoredRun) -> np.ndarray | None:
        if baseline and ablation.score == "gain":
            return average_gain(_resampled_language(run), _resampled_language(baseline[0]))
        return run.resampled.get(ablation.score)

    values = [
        None if (above := value(one)) is None or (below := value(other)) is None else above - below
        for one, other in zip(runs[better], runs[worse], strict=True)
    ]
    first, second = resampled(runs[better][0]), resampled(runs[worse][0])
    return values, None if first is None or second is None else first - second
