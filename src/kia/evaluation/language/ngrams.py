"""BLEU, ROUGE-L and CIDEr with the numbers of pycocoevalcap, counting each text only once.

Baselines score one report against every reference and every reference against several systems;
pycocoevalcap counts both anew each time. Tests compare all three with it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

Gram = tuple[str, ...]
Counts = tuple[dict[Gram, int], dict[Gram, int], dict[Gram, int], dict[Gram, int]]

_ORDERS = (1, 2, 3, 4)
_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0


class _Vector(NamedTuple):
    """A text as CIDEr sees it: weights of its n-grams and their norm, by order; bigrams."""

    weights: list[dict[Gram, float]]
    norms: list[float]
    length: int


@lru_cache(maxsize=65_536)
def _counts(text: str) -> Counts:
    """How often each n-gram occurs, for n of 1 to 4."""
    words = text.split()
    one, two, three, four = (
        dict(Counter(zip(*(words[i:] for i in range(n)), strict=False))) for n in _ORDERS
    )
    return one, two, three, four


def _total(counts: dict[Gram, int]) -> int:
    return sum(counts.values())


def bleu_rows(hyps: Sequence[str], refs: Sequence[str]) -> np.ndarray:
    """What corpus BLEU adds up, for one reference each.

    Args:
        hyps: Tokens of the generated reports, joined by single spaces.
        refs: Those of the references, same length and order.

    Returns:
        (n, 10): reference length, report length, 4 match counts, 4 n-gram counts; see
        `kia.evaluation.statistics.intervals.bleu_from_sums`.
    """
    rows = np.zeros((len(hyps), 10))
    for row, hyp, ref in zip(rows, hyps, refs, strict=True):
        said, true = _counts(hyp), _counts(ref)
        row[0], row[1] = _total(true[0]), _total(said[0])
        for n in range(4):
            row[2 + n] = sum(min(count, true[n].get(gram, 0)) for gram, count in said[n].items())
            row[6 + n] = _total(said[n])
    return rows


def rouge_l(hyps: Sequence[str], refs: Sequence[str]) -> np.ndarray:
    """ROUGE-L of each report, (n,).

    Args:
        hyps: Tokens of the generated reports, joined by single spaces.
        refs: Those of the references, same length and order.
    """
    return np.array([_rouge(hyp, ref) for hyp, ref in zip(hyps, refs, strict=True)])


@lru_cache(maxsize=65_536)
def _rouge(hyp: str, ref: str) -> float:
    said, true = hyp.split(" "), ref.split(" ")  # an empty report is one empty word there
    common = longest_common_subsequence(said, true)
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(true)
    return (1 + _ROUGE_BETA**2) * precision * recall / (recall + _ROUGE_BETA**2 * precision)


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table in one integer's bits.

    Source: Hyyrö, "Bit-parallel LCS-length computation revisited", AWOCA 2004.
    """
    places: dict[str, int] = {}
    for position, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << position
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & full
    return len(a) - row.bit_count()


class CiderReferences:
    """CIDEr against one set of references, whose n-gram frequencies give the idf.

    Args:
        refs: Tokens of the references, joined by single spaces.
    """

    def __init__(self, refs: Sequence[str]) -> None:
        self.refs = list(refs)
        self._frequency = Counter(
            gram for ref in self.refs for order in _counts(ref) for gram in order
        )
        self._log_studies = math.log(max(len(self.refs), 1))
        self._vectors: dict[str, _Vector] = {}

    def score(self, hyps: Sequence[str]) -> np.ndarray:
        """CIDEr of each report against its reference, (n,).

        Args:
            hyps: Tokens of the generated reports, in the order of the references.
        """
        pairs = zip(hyps, self.refs, strict=True)
        return np.array([self._similarity(self._vector(h), self._vector(r)) for h, r in pairs])

    def _vector(self, text: str) -> _Vector:
        if (known := self._vectors.get(text)) is not None:
            return known
        counts = _counts(text)
        weights = [
            {
                gram: count * (self._log_studies - math.log(max(1, self._frequency.get(gram, 0))))
                for gram, count in order.items()
            }
            for order in counts
        ]
        norms = [math.sqrt(sum(weight**2 for weight in order.values())) for order in weights]
        vector = self._vectors[text] = _Vector(weights, norms, _total(counts[1]))
        return vector

    @staticmethod
    def _similarity(hyp: _Vector, ref: _Vector) -> float:
        total = 0.0
        for said, true, length, other in zip(
            hyp.weights, ref.weights, hyp.norms, ref.norms, strict=True
        ):
            if length and other:
                shared = (
                    min(weight, true[gram]) * true[gram]
                    for gram, weight in said.items()
                    if gram in true
                )
                total += sum(shared) / (length * other)
        apart = float(hyp.length - ref.length)
        return 10 * total / 4 * math.exp(-(apart**2) / (2 * _CIDER_SIGMA**2))
