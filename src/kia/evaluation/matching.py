"""Which sentences of a generated report say the same as which of the reference (Figure 6)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from kia.evaluation.priors import sentences

_WORD = re.compile(r"[^\W_]+")
_EMPTY = re.compile(
    r"the|a|an|is|are|was|were|be|been|of|in|on|at|to|and|or|with|within|for|there|this|that|it|its|"
    r"as|by|from|has|have|seen|noted|identified|demonstrated|evidence|appears?|limits"
)
_NEGATION = re.compile(r"no|not|without|negative|free|absent|none|unremarkable|normal|clear")
_SAME_FROM = 0.5  # Dice overlap of the words that carry meaning


class MatchedReports(NamedTuple):
    """Two reports in sentences, and the pairs among them.

    Attributes:
        hyp: (sentence, number of its pair, or None).
        ref: The same for the reference; a pair has one number on both sides.
    """

    hyp: list[tuple[str, int | None]]
    ref: list[tuple[str, int | None]]


def match_sentences(hyp: str, ref: str) -> MatchedReports:
    """Pair sentences whose words agree, best pairs first, each at most once.

    Two sentences agree if at least half of their words do (Dice; words of denial do not count), and
    both deny or neither does.

    Args:
        hyp: The raw generated report.
        ref: The raw reference.
    """
    said, true = sentences(hyp), sentences(ref)
    overlaps = sorted(
        ((_agreement(a, b), -i, -j) for i, a in enumerate(said) for j, b in enumerate(true)),
        reverse=True,
    )
    of_said: dict[int, int] = {}
    of_true: dict[int, int] = {}
    for overlap, minus_i, minus_j in overlaps:
        i, j = -minus_i, -minus_j
        if overlap >= _SAME_FROM and i not in of_said and j not in of_true:
            of_said[i] = of_true[j] = len(of_said)
    return MatchedReports(_numbered(said, of_said), _numbered(true, of_true))


def _numbered(texts: Sequence[str], pairs: dict[int, int]) -> list[tuple[str, int | None]]:
    return [(text, pairs.get(index)) for index, text in enumerate(texts)]


def _agreement(a: str, b: str) -> float:
    said, true = (set(_WORD.findall(sentence.lower())) for sentence in (a, b))
    if said == true:
        return 1.0
    if any(map(_NEGATION.fullmatch, said)) != any(map(_NEGATION.fullmatch, true)):
        return 0.0
    said, true = ({word for word in side if _says_what(word)} for side in (said, true))
    return 2 * len(said & true) / max(len(said) + len(true), 1)


def _says_what(word: str) -> bool:
    """That two sentences deny something does not make it the same thing."""
    return not (_EMPTY.fullmatch(word) or _NEGATION.fullmatch(word))
