"""How good retrieval is: is the right study found, and do the studies found agree clinically?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.evaluation.clinical.efficacy import Labels, positives
from kia.evaluation.statistics.intervals import Measure

RECALL_AT = (1, 5, 10)
CLINICAL_AT = 5
"""Studies whose labels are compared with the query's."""


def retrieval_scores(
    ranks: NDArray[np.int64], agreement: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    """Scores of n queries.

    Args:
        ranks: (n,) rank, from 1, of the first study with the query's report.
        agreement: (n,) of `clinical_agreement`.

    Returns:
        "recall_1", "recall_5", "recall_10": share of queries whose rank is not larger;
        "mean_rank"; "clinical_precision_5": mean agreement; and "intervals", 95 %, by a bootstrap
        over queries.
    """
    columns: dict[str, NDArray[Any]] = {f"recall_{k}": ranks <= k for k in RECALL_AT}
    columns |= {"mean_rank": ranks, f"clinical_precision_{CLINICAL_AT}": agreement}
    statistics = np.stack([*columns.values(), np.ones(len(ranks))], axis=1).astype(float)
    measure = Measure(
        statistics,
        lambda sums: {name: sums[:, i] / sums[:, -1] for i, name in enumerate(columns)},
    )
    return measure.values() | {"intervals": measure.intervals()}


def random_scores(
    same_report: NDArray[np.int64], present: NDArray[np.bool_], studies: int
) -> dict[str, float]:
    """What `retrieval_scores` expects of an order drawn at random, exactly.

    Args:
        same_report: (n,) studies with each query's report, its own among them.
        present: (studies, 14) of `present_observations`.
        studies: That are searched.
    """
    scores = {}
    for k in RECALL_AT:
        missed = np.ones(len(same_report))
        for drawn in range(min(k, studies)):
            left = np.maximum(studies - same_report - drawn, 0)
            missed *= left / (studies - drawn)
        scores[f"recall_{k}"] = float(1 - missed.mean())
    # the first of m marked items among n, in random order: (n + 1) / (m + 1)
    scores["mean_rank"] = float(((studies + 1) / (same_report + 1)).mean())
    share = present.mean(0)
    agree = float((share**2 + (1 - share) ** 2).mean())
    return scores | {f"clinical_precision_{CLINICAL_AT}": agree}


def present_observations(labels: Sequence[Labels]) -> NDArray[np.bool_]:
    """(n, 14), True where an observation is present or uncertain, as the label report words it."""
    return positives(labels, "uncertain_positive")


def clinical_agreement(
    present: NDArray[np.bool_], found: NDArray[np.int64], queries: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of the 14 observations that query and found study both call present, or both do not.

    Args:
        present: (studies, 14) of `present_observations`.
        found: (n, K) places in `present`, best first; the first 5 count.
        queries: (n,) places of the queries in `present`.

    Returns:
        (n,), the mean over the first 5; a query's own study counts like any other.
    """
    same = present[found[:, :CLINICAL_AT]] == present[queries][:, None]
    return same.mean(axis=(1, 2))


def first_ranks(relevant: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n,) rank, from 1, of the first True of each row; one more than the width if there is none.

    Args:
        relevant: (n, K), in the order in which the studies were found.
    """
    return np.where(relevant.any(1), relevant.argmax(1), relevant.shape[1]) + 1
