"""Clinical efficacy: do the generated reports name the observations that the references name?

No two papers average alike, so the whole grid is computed: micro, macro and example averages over
14 and 5 observations, with uncertain labels read as absent or as present, and macro over 13.
`PUBLISHED_CELLS` says which cell each paper printed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kia.errors import DataError
from kia.evaluation.statistics.intervals import Measure
from kia.knowledge.chexpert import OBSERVATIONS

Labels = Mapping[str, int | None]

POLICIES = ("uncertain_negative", "uncertain_positive")
"""What an uncertain label counts as."""

FIVE = ("Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion")
"""The observations of the competition of CheXpert (Irvin et al., AAAI 2019)."""

CELLS = ("micro_14", "macro_14", "example_14", "micro_5", "macro_5", "example_5", "macro_13")
"""Averages of the grid; 13 is without No Finding."""

SCORES = ("precision", "recall", "f1")


class PublishedCell(NamedTuple):
    """The average that a paper prints.

    Attributes:
        paper: Name of the method or tool.
        policies: Some of `POLICIES`.
        cells: Some of `CELLS`; empty if the paper does not say.
        note: One line for the reader.
    """

    paper: str
    policies: tuple[str, ...]
    cells: tuple[str, ...]
    note: str


PUBLISHED_CELLS = (
    PublishedCell("R2Gen", ("uncertain_negative",), ("macro_14",), "CheXpert labeler"),
    PublishedCell(
        "PromptMRG, CXRMate", ("uncertain_negative",), ("example_14",), "CheXbert, positive only"
    ),
    PublishedCell(
        "RGRG", ("uncertain_positive",), ("micro_5", "micro_14"), "CheXbert, uncertain as positive"
    ),
    PublishedCell(
        "RadEval, f1chexbert “rrg”",
        ("uncertain_positive",),
        ("micro_5", "macro_5", "micro_14", "macro_14"),
        "CheXbert, uncertain as positive",
    ),
    PublishedCell(
        "KIA (Table 2)",
        (),
        (),
        "not stated; its F1 equals 2PR/(P+R), as a micro average does; its baselines' do not",
    ),
)
"""Which cell of the grid published numbers belong to. Sources: the papers and their code."""

_FIVE = np.array([OBSERVATIONS.index(name) for name in FIVE])
_FOURTEEN = np.arange(len(OBSERVATIONS))
_THIRTEEN = np.array([i for i, name in enumerate(OBSERVATIONS) if name != "No Finding"])
_COLUMNS = {"14": _FOURTEEN, "5": _FIVE, "13": _THIRTEEN}
_EXAMPLES = ("14", "5")  # sizes of which each study's own scores are kept
_COUNTS = 3 * len(OBSERVATIONS)  # hits, calls and truths of each observation


def positives(labels: Sequence[Labels], policy: str) -> np.ndarray:
    """Which observations count as present.

    Args:
        labels: Labels of each report: 1 present, 0 absent, -1 uncertain, None unmentioned.
        policy: One of `POLICIES`.

    Returns:
        bool (n, 14), in the order of `OBSERVATIONS`.

    Raises:
        DataError: A label is none of these, or a name is no observation.
    """
    present = (1, -1) if policy == "uncertain_positive" else (1,)
    rows = np.zeros((len(labels), len(OBSERVATIONS)), dtype=bool)
    for row, report in zip(rows, labels, strict=True):
        if unknown := set(report) - set(OBSERVATIONS):
            raise DataError(f"{sorted(unknown)[0]!r} is none of the 14 CheXpert observations")
        for column, name in enumerate(OBSERVATIONS):
            value = report.get(name)
            if value not in (1, 0, -1, None):
                raise DataError(f"{name}: a label is 1, 0, -1 or blank, not {value!r}")
            row[column] = value in present
    return rows


def clinical_measures(hyps: Sequence[Labels], refs: Sequence[Labels]) -> dict[str, Measure]:
    """The averages of the grid and the scores of each observation, ready to be resampled.

    Args:
        hyps: Labels of the generated reports.
        refs: Labels of the references, same length and order.

    Returns:
        Policy → a measure whose values are named "micro_14.precision" … and
        "observations.Edema.f1" ….

    Raises:
        DataError: The lengths differ, or a label is malformed.
    """
    if len(hyps) != len(refs):
        raise DataError(f"labels of {len(hyps)} reports for {len(refs)} references")
    return {policy: _measure(hyps, refs, policy) for policy in POLICIES}


def _measure(hyps: Sequence[Labels], refs: Sequence[Labels], policy: str) -> Measure:
    said, true = positives(hyps, policy), positives(refs, policy)
    counts = np.concatenate([said & true, said, true], axis=1).astype(float)
    per_study = [
        _of_studies(said[:, _COLUMNS[size]], true[:, _COLUMNS[size]]) for size in _EXAMPLES
    ]
    ones = np.ones((len(refs), 1))
    return Measure(np.concatenate([counts, *per_study, ones], axis=1), _averages)


def _of_studies(said: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of each study, (n, 3)."""
    return np.stack(scores((said & true).sum(1), said.sum(1), true.sum(1)), axis=1)


def scores(hits: np.ndarray, calls: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, ...]:
    """Precision, recall, F1; 0 where there is nothing to divide by, as in scikit-learn."""
    return _ratio(hits, calls), _ratio(hits, truths), _ratio(2 * hits, calls + truths)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)


def _averages(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Summed statistics, (R, 49) → every value of the grid, (R,) each."""
    hits, calls, truths = sums[:, :_COUNTS].reshape(len(sums), 3, -1).swapaxes(0, 1)
    examples = sums[:, _COUNTS:-1].reshape(len(sums), 2, 3) / sums[:, -1:, None]
    each = np.stack(scores(hits, calls, truths))  # (3, R, 14)
    values: dict[str, np.ndarray] = {}
    for cell in CELLS:
        average, size = cell.split("_")
        columns = _COLUMNS[size]
        if average == "micro":
            found = scores(*(part[:, columns].sum(1) for part in (hits, calls, truths)))
        elif average == "macro":
            found = tuple(each[:, :, columns].mean(axis=2))
        else:
            found = tuple(examples[:, _EXAMPLES.index(size)].T)
        values |= {f"{cell}.{name}": value for name, value in zip(SCORES, found, strict=True)}
    for column, observation in enumerate(OBSERVATIONS):
        for name, value in zip(SCORES, each[:, :, column], strict=True):
            values[f"observations.{observation}.{name}"] = value
    return values


def clinical_grid(measures: Mapping[str, Measure]) -> dict[str, Any]:
    """The whole grid of one system.

    Args:
        measures: Policy → measure, from `clinical_measures`.

    Returns:
        Policy → cell → "precision", "recall", "f1" (0–1), and under "observations" the same for
        each observation with its "support": how many references have it.
    """
    grid: dict[str, Any] = {}
    for policy, measure in measures.items():
        grid[policy] = nested(measure.values())
        support = measure.statistics[:, _COUNTS - len(OBSERVATIONS) : _COUNTS].sum(axis=0)
        for observation, count in zip(OBSERVATIONS, support, strict=True):
            grid[policy]["observations"][observation]["support"] = int(count)
    return grid


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values named "a.b.c" as dictionaries in dictionaries."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *folders, leaf = name.split(".")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[leaf] = value
    return tree
