"""BLEU, ROUGE-L and CIDEr with the numbers of pycocoevalcap, counting each text only once.

Baselines score one report against every reference and every reference against several systems;
pycocoevalcap counts both anew each time. Tests compare all three with it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

Gram = tuple[str, ...]

_ORDERS = np.arange(4)
_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0


class _Side(NamedTuple):
    """The n-grams of several texts one after another, those of a text by number.

    Attributes:
        pair: Which text an n-gram is of.
        number: Of the n-gram.
        times: How often the text has it.
        order: Its words less 1.
        lengths: Words of each text, (n,).
    """

    pair: np.ndarray
    number: np.ndarray
    times: np.ndarray
    order: np.ndarray
    lengths: np.ndarray


class Grams:
    """The n-grams of texts, n of 1 to 4, as numbers; each text is counted once."""

    def __init__(self) -> None:
        self._numbers: dict[Gram, int] = {}
        self._texts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, int]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def side(self, texts: Sequence[str]) -> _Side:
        """The n-grams of texts, which are tokens joined by single spaces."""
        found = [self._counted(text) for text in texts]
        pair = np.repeat(np.arange(len(found)), [len(numbers) for numbers, *_ in found])
        number, times, order = (np.concatenate([one[k] for one in found]) for k in range(3))
        return _Side(pair, number, times, order, np.array([length for *_, length in found]))

    def _counted(self, text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        if (known := self._texts.get(text)) is not None:
            return known
        words = text.split()
        grams: Iterable[Gram] = chain.from_iterable(
            zip(*(words[i:] for i in range(order + 1)), strict=False) for order in _ORDERS
        )
        counts, numbers = Counter(grams), self._numbers
        number = np.array([numbers.setdefault(gram, len(numbers)) for gram in counts], np.int64)
        by_number = np.argsort(number)
        count = np.array(list(counts.values()), np.int64)[by_number]
        order = np.array(list(map(len, counts)), np.int64)[by_number] - 1
        known = self._texts[text] = number[by_number], count, order, len(words)
        return known


def _shared(one: _Side, other: _Side, grams: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the n-grams that both texts of a pair have, on both sides."""
    wanted = one.pair * grams + one.number
    there = np.append(other.pair * grams + other.number, -1)
    at = np.searchsorted(there[:-1], wanted)
    rows = np.flatnonzero(there[at] == wanted)
    return rows, at[rows]


def _by_order(side: _Side, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of values by text and order, (n, 4)."""
    texts = len(side.lengths)
    cell = side.pair[rows] * 4 + side.order[rows]
    return np.bincount(cell, values, 4 * texts).astype(float).reshape(texts, 4)


def bleu_rows(hyps: Sequence[str], refs: Sequence[str], grams: Grams | None = None) -> np.ndarray:
    """What corpus BLEU adds up, for one reference each.

    Args:
        hyps: Tokens of the generated reports, joined by single spaces.
        refs: Those of the references, same length and order.
        grams: What was counted before.

    Returns:
        (n, 10): reference length, report length, 4 match counts, 4 n-gram counts; see
        `kia.evaluation.statistics.intervals.bleu_from_sums`.
    """
    if len(hyps) != len(refs):
        raise ValueError(f"{len(hyps)} reports for {len(refs)} references")
    rows = np.zeros((len(hyps), 10))
    if not len(hyps):
        return rows
    grams = Grams() if grams is None else grams
    said, true = grams.side(hyps), grams.side(refs)
    ours, theirs = _shared(said, true, len(grams))
    rows[:, 0], rows[:, 1] = true.lengths, said.lengths
    rows[:, 2:6] = _by_order(said, ours, np.minimum(said.times[ours], true.times[theirs]))
    rows[:, 6:10] = np.maximum(said.lengths[:, None] - _ORDERS, 0)
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
        grams: What was counted before.
    """

    def __init__(self, refs: Sequence[str], grams: Grams | None = None) -> None:
        self._grams = Grams() if grams is None else grams
        self._true = self._grams.side(refs)
        self._frequency = np.bincount(self._true.number)
        self._log_studies = np.log(max(len(refs), 1))
        self._weights, self._norms = self._weighed(self._true)

    def score(self, hyps: Sequence[str]) -> np.ndarray:
        """CIDEr of each report against its reference, (n,).

        Args:
            hyps: Tokens of the generated reports, in the order of the references.
        """
        said, true = self._grams.side(hyps), self._true
        if len(hyps) != len(true.lengths):
            raise ValueError(f"{len(hyps)} reports for {len(true.lengths)} references")
        weights, norms = self._weighed(said)
        ours, theirs = _shared(said, true, len(self._grams))
        common = np.minimum(weights[ours], self._weights[theirs]) * self._weights[theirs]
        shared = _by_order(said, ours, common)
        lengths = norms * self._norms
        cosine = np.divide(shared, lengths, out=np.zeros_like(shared), where=lengths > 0)
        apart = np.maximum(said.lengths - 1, 0) - np.maximum(true.lengths - 1, 0)  # in bigrams
        return 10 * cosine.mean(axis=1) * np.exp(-(apart**2) / (2 * _CIDER_SIGMA**2))

    def _weighed(self, side: _Side) -> tuple[np.ndarray, np.ndarray]:
        """The weight of each n-gram, and the norms of each text by order, (n, 4)."""
        frequency = np.zeros(max(len(self._grams), 1))
        frequency[: len(self._frequency)] = self._frequency
        idf = self._log_studies - np.log(np.maximum(frequency, 1))
        weights = side.times * idf[side.number]
        return weights, np.sqrt(_by_order(side, np.arange(len(weights)), weights**2))
