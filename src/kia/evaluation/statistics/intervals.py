"""How sure a score is: bootstrap intervals over studies.

Corpus scores (BLEU, METEOR) are not means over studies, so what is resampled is each study's
sufficient statistics; the score is computed anew from their sums (Koehn, EMNLP 2004).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
"""Resamples of an interval unless told otherwise."""

_CELLS_AT_ONCE = 4_000_000  # resamples × studies held in memory at a time

Interval = tuple[float, float]
"""Lower and upper end."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Scores that are formulas of summed statistics, so that studies can be resampled.

    Attributes:
        statistics: One row a study, (n, k); where a formula needs the number of studies, a column
            of ones counts them.
        formula: Summed statistics (R, k) → name of a score → (R,).
    """

    statistics: np.ndarray
    formula: Callable[[np.ndarray], dict[str, np.ndarray]]

    def values(self) -> dict[str, float]:
        """The scores of all studies together."""
        found = self.formula(self.statistics.sum(axis=0, keepdims=True))
        return {name: float(value[0]) for name, value in found.items()}

    def of(self, rows: np.ndarray) -> "Measure":
        """The same scores of some of the studies."""
        return Measure(self.statistics[rows], self.formula)

    def resampled(self, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, np.ndarray]:
        """The scores of each bootstrap resample of the studies, (R,); see `resampled_sums`."""
        return self.formula(resampled_sums(self.statistics, resamples=resamples, seed=seed))

    def intervals(self, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
        """95 % bootstrap intervals over studies."""
        found = self.resampled(resamples=resamples, seed=seed)
        return {name: percentile_interval(values) for name, values in found.items()}


def resampled_sums(
    statistics: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Sums of the statistics of n studies drawn with replacement, again and again.

    Args:
        statistics: One row a study, (n, k).
        resamples: Number of draws R.
        seed: Seed of the draws; the same studies are drawn for any statistics of length n.

    Returns:
        (R, k)
    """
    counts = _draws(len(statistics), resamples, np.random.default_rng(seed))
    return np.concatenate([draw @ statistics for draw in counts])


def _draws(studies: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each study was drawn, (chunk, n), until there are enough resamples."""
    chunk = max(1, _CELLS_AT_ONCE // max(1, studies))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        picks = rng.integers(studies, size=(rows, studies))
        picks += studies * np.arange(rows)[:, None]
        counts = np.bincount(picks.ravel(), minlength=rows * studies)
        yield counts.reshape(rows, studies).astype(float)


def percentile_interval(values: np.ndarray) -> Interval:
    """The middle 95 % of resampled values.

    Args:
        values: One value a resample, (R,).
    """
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def bleu_from_sums(sums: np.ndarray) -> np.ndarray:
    """Corpus BLEU-1..4 of summed statistics.

    Source: Papineni et al., ACL 2002, with the smoothing constants of pycocoevalcap.

    Args:
        sums: (R, 10): reference length, report length, 4 match counts, 4 n-gram counts.

    Returns:
        (R, 4)
    """
    sums = np.asarray(sums, dtype=float)
    ref_length, hyp_length = sums[:, 0] + 1e-9, sums[:, 1] + 1e-15
    precision = (sums[:, 2:6] + 1e-15) / (sums[:, 6:10] + 1e-9)
    bleu = np.cumprod(precision, axis=1) ** (1 / np.arange(1, 5))
    ratio = np.minimum(hyp_length / ref_length, 1.0)
    return bleu * np.exp(1 - 1 / ratio)[:, None]


_METEOR_MODULE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase
_METEOR_ALPHA, _METEOR_BETA, _METEOR_GAMMA, _METEOR_DELTA = 0.85, 0.20, 0.60, 0.75


def meteor_from_sums(sums: np.ndarray) -> np.ndarray:
    """METEOR 1.5 (English, tuned to ranking) of summed statistics.

    Source: Denkowski and Lavie, WMT 2014, with the parameters of ``-l en``.

    Args:
        sums: (R, 23) in the order of METEOR's SCORE line: lengths of report and reference, their
            function words, for each of four modules the matched content words of both and the
            matched function words of both, then chunks (none for a report matched whole, as in
            `kia.evaluation.language.meteor.score.MeteorScores`) and matched words of both.

    Returns:
        (R,)
    """
    sums = np.asarray(sums, dtype=float)
    weight = np.array([_METEOR_DELTA, 1 - _METEOR_DELTA])  # content words, function words
    modules = sums[:, 4:20].reshape(-1, 4, 2, 2)  # (R, module, content | function, hyp | ref)
    matched = np.einsum("rmks,m,k->rs", modules, _METEOR_MODULE_WEIGHTS, weight)
    lengths, function_words = sums[:, 0:2], sums[:, 2:4]
    weighted_length = (lengths - function_words) * weight[0] + function_words * weight[1]
    shares = _divide(matched, weighted_length)
    precision, recall = shares[:, 0], shares[:, 1]
    mean = _divide(precision * recall, _METEOR_ALPHA * precision + (1 - _METEOR_ALPHA) * recall)
    fragments = _divide(sums[:, 20], sums[:, 21:23].mean(axis=1))
    return mean * (1 - _METEOR_GAMMA * fragments**_METEOR_BETA)


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def language_measure(statistics: Mapping[str, np.ndarray]) -> Measure:
    """The language metrics of one protocol, from the statistics of its families.

    CIDEr's idf stays that of all references: a study's score is its part of the printed mean.

    Args:
        statistics: As in `kia.evaluation.language.scores.LanguageScores.statistics`, at least one.

    Returns:
        A measure whose values are named as in `kia.evaluation.language.scores.METRICS`.
    """
    families = list(statistics)
    studies = len(statistics[families[0]])
    edges = np.cumsum([statistics[name].shape[1] for name in families])

    def formula(sums: np.ndarray) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        *parts, ones = np.split(sums, edges, axis=1)
        for name, summed in zip(families, parts, strict=True):
            if name == "bleu":
                scores = bleu_from_sums(summed).T
                values |= {f"bleu_{n}": score for n, score in enumerate(scores, 1)}
            elif name == "meteor":
                values[name] = meteor_from_sums(summed)
            else:
                values[name] = summed[:, 0] / ones[:, 0]
        return values

    columns = [*(statistics[name] for name in families), np.ones((studies, 1))]
    return Measure(np.concatenate(columns, axis=1), formula)
