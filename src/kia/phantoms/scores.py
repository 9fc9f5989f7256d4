"""How well reports of phantoms agree with what was drawn: the grammar is parsed, no labeler."""

from collections.abc import Mapping, Sequence

import numpy as np

from kia.phantoms.studies import parse_findings

OBSERVATIONS = (
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Consolidation",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Fracture",
    "Support Devices",
)
"""The observations that phantoms can have."""


def finding_scores(
    reports: Sequence[str], truth: Sequence[Mapping[str, int | None]]
) -> dict[str, float]:
    """Micro precision, recall and F1 of the findings that reports call present.

    Args:
        reports: Written for phantom studies.
        truth: Labels of the same studies: what was drawn.

    Returns:
        "precision", "recall", "f1", and the F1 of each observation under its name; 0 where
        nothing was called present or nothing was.
    """
    said = np.array([_row(parse_findings(report)["present"]) for report in reports])
    drawn = np.array([[labels.get(name) == 1 for name in OBSERVATIONS] for labels in truth])
    hits, called, there = (said & drawn).sum(0), said.sum(0), drawn.sum(0)
    scores = {
        "precision": float(hits.sum() / max(called.sum(), 1)),
        "recall": float(hits.sum() / max(there.sum(), 1)),
        "f1": float(2 * hits.sum() / max(called.sum() + there.sum(), 1)),
    }
    each = 2 * hits / np.maximum(called + there, 1)
    return scores | dict(zip(OBSERVATIONS, map(float, each), strict=True))


def _row(present: set[str]) -> list[bool]:
    return [name in present for name in OBSERVATIONS]
