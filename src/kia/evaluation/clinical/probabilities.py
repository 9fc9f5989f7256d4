"""How good probabilities of observations are: discrimination and calibration.

All functions take one observation: `probabilities` (n,) of being present, `truth` (n,) True
where it is.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kia.knowledge.chexpert import OBSERVATIONS

Numbers = NDArray[np.floating[Any]]
Truth = NDArray[np.bool_]

BINS = 10
"""Bins of equal width between 0 and 1."""


def sensitivity_specificity(called: Truth, truth: Truth) -> tuple[float, float]:
    """Share of present ones called present, and of absent ones called absent.

    Their mean is the balanced accuracy: 1/2 for any answer that is the same for all studies.

    Args:
        called: (n,), True where the model says present.
        truth: (n,), True where it is present.

    Returns:
        NaN where no study is present, or absent.
    """
    return _share(called & truth, truth), _share(~called & ~truth, ~truth)


def auroc(probabilities: Numbers, truth: Truth) -> float:
    """Share of pairs of a present and an absent study that the probabilities order rightly.

    Half of a tie counts (Mann and Whitney 1947). Unlike accuracy it needs no threshold. NaN where
    all studies are present, or all absent.
    """
    order, groups = np.unique(probabilities, return_inverse=True)
    present = np.bincount(groups[truth], minlength=len(order))
    absent = np.bincount(groups[~truth], minlength=len(order))
    below = np.cumsum(absent) - absent
    return _share(present @ (below + absent / 2), np.array(truth.sum() * (~truth).sum()))


def average_precision(probabilities: Numbers, truth: Truth) -> float:
    """Precision at each distinct threshold, weighted by the recall that it adds.

    Σ (R_k − R_{k−1})·P_k without interpolation (Zhu 2004); the share of present studies for
    probabilities that say nothing. NaN where none is present.
    """
    order, groups = np.unique(-probabilities, return_inverse=True)
    hits = np.cumsum(np.bincount(groups[truth], minlength=len(order)))
    called = np.cumsum(np.bincount(groups, minlength=len(order)))
    gained = np.diff(hits, prepend=0)
    return _share((gained * hits / called).sum(), np.array(truth.sum()))


class Reliability(NamedTuple):
    """What a reliability plot shows, by bin of predicted probability.

    Attributes:
        studies: (BINS,) studies in each.
        predicted: (BINS,) their mean probability; NaN in an empty bin.
        observed: (BINS,) share of them that is present; NaN in an empty bin.
    """

    studies: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean |predicted − observed| over studies (Naeini 2015)."""
        gaps = np.nan_to_num(np.abs(self.predicted - self.observed))
        return _share(self.studies @ gaps, np.array(self.studies.sum()))


def reliability(probabilities: Numbers, truth: Truth) -> Reliability:
    """Sorts the studies into `BINS` bins of equal width by their probability."""
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    studies = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(bins, probabilities, BINS) / studies
        observed = np.bincount(bins, truth, BINS) / studies
    return Reliability(studies, predicted, observed)


def score_findings(
    probabilities: Numbers, labels: Sequence[Mapping[str, int | None]]
) -> dict[str, Any]:
    """Probabilities of the 14 observations against reference labels.

    Present is 1; 0 and unmentioned are absent, as in the label report of training; studies whose
    label is uncertain are left out of that observation.

    Args:
        probabilities: (n, 14), in the order of OBSERVATIONS.
        labels: Of the n studies.

    Returns:
        {"observations": {name: {"studies", "present", "auroc", "average_precision",
        "calibration_error", "mean_probability", "reliability"}}, "macro": the means of auroc,
        average_precision and calibration_error over the observations that have both kinds of
        studies, "reliability": over all observations}. A score without both kinds is None; a
        reliability is {"studies", "predicted", "observed"} by bin, see `Reliability`.
    """
    values = [[row.get(name) for name in OBSERVATIONS] for row in labels]
    table = np.array(values, object).reshape(-1, len(OBSERVATIONS))  # also without a study
    known, truth = table != -1, table == 1
    each = {
        name: _one(probabilities[known[:, i], i], truth[known[:, i], i])
        for i, name in enumerate(OBSERVATIONS)
    }
    scored = [row for row in each.values() if row["auroc"] is not None]
    names = ("auroc", "average_precision", "calibration_error")
    over_all = reliability(probabilities[known], truth[known])
    return {
        "observations": each,
        "macro": {
            name: float(np.mean([row[name] for row in scored])) if scored else None
            for name in names
        },
        "reliability": _listed(over_all),
    }


def _one(probabilities: Numbers, truth: Truth) -> dict[str, Any]:
    both = bool(truth.any() and not truth.all())
    bins = reliability(probabilities, truth)
    return {
        "studies": len(truth),
        "present": int(truth.sum()),
        "auroc": auroc(probabilities, truth) if both else None,
        "average_precision": average_precision(probabilities, truth) if both else None,
        "calibration_error": bins.error if len(truth) else None,
        "mean_probability": float(probabilities.mean()) if len(truth) else None,
        "reliability": _listed(bins),
    }


def _listed(bins: Reliability) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in bins._asdict().items()}


def _share(part: Any, whole: Any) -> float:
    total = np.sum(whole)
    return float(np.sum(part) / total) if total else float("nan")
