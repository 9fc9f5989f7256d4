"""The studies at which a system does worst, for a reader to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kia.evaluation.board.entries import Scored
from kia.evaluation.clinical.efficacy import Labels, positives
from kia.knowledge.chexpert import OBSERVATIONS


@dataclass(frozen=True)
class Case:
    """One study, its two reports and what they disagree on.

    Attributes:
        id: Of the study.
        hyp: The raw generated report.
        ref: The raw reference.
        missed: Observations of the reference that the generated report lacks.
        invented: Observations that it adds.
        graph_f1: Of kia's extractor's graphs, complete, of this study.
        cider: CIDEr of this study.
    """

    id: str
    hyp: str
    ref: str
    missed: tuple[str, ...]
    invented: tuple[str, ...]
    graph_f1: float
    cider: float | None


def worst_cases(
    ids: Sequence[str],
    hyps: Sequence[str],
    refs: Sequence[str],
    labels: tuple[Sequence[Labels], Sequence[Labels]],
    scored: Scored,
    most: int = 12,
) -> list[Case]:
    """The studies with the most wrong observations; of equal ones the lowest graph-F1 first.

    Args:
        ids: Of the studies.
        hyps: Raw generated reports.
        refs: Raw references.
        labels: Labels of the generated reports and of the references; uncertain counts as absent.
        scored: The scores of these studies.
        most: How many.
    """
    said, true = (positives(side, "uncertain_negative") for side in labels)
    findings = [index for index, name in enumerate(OBSERVATIONS) if name != "No Finding"]
    wrong = (said != true)[:, findings].sum(axis=1)
    graph_f1 = scored.graphs.statistics[:, 2]
    language = scored.language.get("r2gen") or scored.language.get("r2gen-full")
    cider = language.statistics.get("cider") if language else None
    order = np.lexsort((np.arange(len(ids)), graph_f1, -wrong))[:most]
    return [
        Case(
            ids[i],
            hyps[i],
            refs[i],
            _names(true[i] & ~said[i]),
            _names(said[i] & ~true[i]),
            float(graph_f1[i]),
            None if cider is None else float(cider[i, 0]),
        )
        for i in map(int, order)
    ]


def _names(row: np.ndarray) -> tuple[str, ...]:
    found = zip(OBSERVATIONS, row, strict=True)
    return tuple(name for name, there in found if there and name != "No Finding")
