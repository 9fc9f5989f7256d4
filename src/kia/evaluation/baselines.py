"""What a model must beat: reports written without looking at the image, or by copying one.

On IU X-Ray one constant report outdoes many published models, so no score is printed alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kia.errors import DataError
from kia.evaluation.board.systems import References
from kia.evaluation.language.protocols import DatasetStyle, clean_report
from kia.evaluation.language.scores import LanguageScorer

CONSTANT_REPORT = (
    "The lungs are clear. There is no focal airspace consolidation. No pleural effusion or "
    "pneumothorax. Heart size and mediastinal contour are within normal limits. There are "
    "degenerative changes of the spine."
)
"""The constant report whose scores on IU X-Ray are kia's golden values."""

BASELINES = {
    "constant": "constant",
    "best_constant": "best constant (CIDEr)",
    "best_constant_bleu_4": "best constant (BLEU-4)",
    "most_frequent": "most frequent",
    "nearest": "nearest neighbour",
}
"""Key in the result → name in tables."""

_CHOOSING_STUDIES = 300  # references on which constants are compared, to stay quick
_QUERY_ROWS = 256  # queries compared with all training images at a time


@dataclass(frozen=True, slots=True)
class ChosenReport:
    """A constant report and how it was chosen.

    Attributes:
        report: The raw report.
        how: One sentence about the choice, to be printed.
    """

    report: str
    how: str


def most_frequent(train_reports: Sequence[str]) -> ChosenReport:
    """The most frequent training report; of equally frequent ones the first in the file.

    Reports are the same if they are the same word for word, white space aside.

    Raises:
        DataError: There is no training report.
    """
    if not train_reports:
        raise DataError("there is no training report to take the most frequent of")
    report, count = Counter(" ".join(r.split()) for r in train_reports).most_common(1)[0]
    return ChosenReport(report, f"the most frequent training report ({count} times)")


def best_constants(
    train_reports: Sequence[str],
    val_reports: Sequence[str] | None = None,
    *,
    dataset: DatasetStyle = "iu",
    candidates: int = 20,
) -> dict[str, ChosenReport]:
    """The constant reports with the best CIDEr and the best BLEU-4 (``r2gen``) on validation.

    Never chosen on test. CIDEr prefers short and frequent reports, BLEU-4 long ones.

    Args:
        train_reports: Raw training reports; the most frequent ones are the candidates, together
            with `CONSTANT_REPORT`.
        val_reports: Raw validation reports; without them training reports judge.
        dataset: "iu" or "mimic".
        candidates: How many training reports compete.

    Returns:
        "cider" and "bleu_4" → the best by that metric.
    """
    split = "validation" if val_reports else "training"
    refs = _spread(val_reports or train_reports, _CHOOSING_STUDIES)
    counts = Counter(" ".join(report.split()) for report in train_reports)
    pool = [CONSTANT_REPORT, *(report for report, _ in counts.most_common(candidates))]
    metrics = {"cider": "CIDEr", "bleu_4": "BLEU-4"}
    with LanguageScorer(refs, train_reports, dataset=dataset, metrics=tuple(metrics)) as scorer:
        results = scorer.score_sets({r: [r] * len(refs) for r in pool}, ("r2gen",))
    chosen = {}
    for metric, label in metrics.items():
        scores = [results[report]["r2gen"].values[metric] or 0.0 for report in pool]
        best = int(np.argmax(scores))
        how = (
            f"the best of {len(pool)} constant reports by {label} on {len(refs)} {split} studies "
            f"({scores[best]:.3f})"
        )
        chosen[metric] = ChosenReport(pool[best], how)
    return chosen


def constant_baselines(references: References) -> dict[str, ChosenReport]:
    """The baselines that write one report for every study; those that can be had."""
    chosen = {"constant": ChosenReport(CONSTANT_REPORT, "")}
    if references.train:
        best = best_constants(references.train, references.val, dataset=references.dataset)
        chosen["best_constant"] = best["cider"]
        chosen["best_constant_bleu_4"] = best["bleu_4"]
        chosen["most_frequent"] = most_frequent(references.train)
    return chosen


def _spread(reports: Sequence[str], most: int) -> list[str]:
    """At most so many reports, evenly spaced over the sequence."""
    if len(reports) <= most:
        return list(reports)
    return [reports[i] for i in np.linspace(0, len(reports) - 1, most).astype(int)]


def nearest_reports(
    train_reports: Sequence[str],
    train_embeddings: np.ndarray,
    query_embeddings: np.ndarray,
    *,
    studies: int | None = None,
) -> list[str]:
    """For each study the report of the training study whose image embedding is nearest (cosine).

    Args:
        train_reports: Raw training reports, n of them.
        train_embeddings: (n, P), in the order of the reports.
        query_embeddings: (m, P)
        studies: How many queries there must be; any number if None.

    Returns:
        m training reports.

    Raises:
        DataError: The shapes do not fit together, or a value is not finite.
    """
    train = _unit_rows(train_embeddings, "training", len(train_reports))
    query = _unit_rows(query_embeddings, "prediction", studies)
    if train.shape[1] != query.shape[1]:
        raise DataError(
            f"image embeddings differ in width: {train.shape[1]} in training, "
            f"{query.shape[1]} beside the predictions"
        )
    chunks = (query[start : start + _QUERY_ROWS] for start in range(0, len(query), _QUERY_ROWS))
    return [train_reports[i] for chunk in chunks for i in (chunk @ train.T).argmax(axis=1)]


def _unit_rows(embeddings: np.ndarray, what: str, rows: int | None) -> np.ndarray:
    if embeddings.ndim != 2 or (rows is not None and len(embeddings) != rows):
        expected = "two dimensions" if rows is None else f"{rows} rows"
        raise DataError(
            f"{what} image embeddings have shape {embeddings.shape}, expected {expected}"
        )
    embeddings = np.asarray(embeddings, dtype=np.float32)
    if not np.isfinite(embeddings).all():
        raise DataError(f"{what} image embeddings hold values that are not finite")
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.maximum(norms, np.finfo(np.float32).tiny)


def diversity(
    reports: Sequence[str],
    dataset: DatasetStyle = "iu",
    references: Sequence[str] | None = None,
    train_reports: Sequence[str] | None = None,
) -> dict[str, float | int | None]:
    """How many different reports there are, how long, and how many are copies.

    Args:
        reports: Raw generated reports, at least one.
        dataset: Decides the cleaning before words are counted.
        references: Raw references, for the ratio of lengths.
        train_reports: Raw training reports, for the share of copies.

    Returns:
        "unique_reports", "unique_ratio" (0–1, of all reports), "mean_length" in words (full stops
        not counted), "length_ratio" (words of all reports / words of all references; None without
        them) and "copied_ratio" (0–1, share of reports that are word for word a training report;
        None without them), all after cleaning.
    """
    words = [_words(report, dataset) for report in reports]
    unique = len(set(words))
    length = sum(map(len, words))
    expected = sum(len(_words(report, dataset)) for report in references or ())
    known = {_words(report, dataset) for report in train_reports or ()}
    return {
        "unique_reports": unique,
        "unique_ratio": unique / len(words),
        "mean_length": length / len(words),
        "length_ratio": length / expected if expected else None,
        "copied_ratio": sum(report in known for report in words) / len(words) if known else None,
    }


def _words(report: str, dataset: DatasetStyle) -> tuple[str, ...]:
    return tuple(word for word in clean_report(report, dataset).split() if word != ".")
