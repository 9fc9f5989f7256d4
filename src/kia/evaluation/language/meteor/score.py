"""METEOR of reports against one reference each: what the jar answers, without Java."""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from kia.evaluation.language.meteor.beam import align
from kia.evaluation.language.meteor.matches import Matches, find_matches
from kia.evaluation.language.meteor.normal import words
from kia.evaluation.language.meteor.resources import resources
from kia.evaluation.language.meteor.texts import Texts, Vocabulary
from kia.evaluation.statistics.intervals import meteor_from_sums

_PAIRS_TOGETHER = 4096  # whose texts are in memory with all of their phrases
_PAIRS_AT_ONCE = 256
_WORDS_AT_ONCE = 16_384  # of the references of these pairs, the longest counted for each
_SEPARATOR = "|||"
_MODULES = 4


class MeteorScores(NamedTuple):
    """What METEOR says about one set of reports.

    Attributes:
        corpus: The score of the set, from its summed statistics (this is what is printed).
        per_study: One score a study, (n,).
        statistics: What METEOR adds up, (n, 23), in the order of its SCORE line; a report that
            matches its reference whole, in one chunk, counts no chunk, as in METEOR's own sum.
    """

    corpus: float
    per_study: np.ndarray
    statistics: np.ndarray


class Meteor:
    """METEOR 1.5 (``-l en -norm``); it remembers the pairs that it scored.

    Raises:
        MissingDependency: pycocoevalcap is not installed.
        DataError: Its files are not those that are known.
    """

    def __init__(self) -> None:
        self._resources = resources()
        self._vocabulary = Vocabulary(self._resources)
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def score(self, hyps: Sequence[str], refs: Sequence[str]) -> MeteorScores:
        """Score tokenised reports.

        Args:
            hyps: Generated reports.
            refs: Reference reports, same length and order; one with "|||" is several, of which the
                best counts, as in pycocoevalcap.
        """
        pairs = list(zip(hyps, refs, strict=True))
        self.prepare(pairs)
        rows = np.array([self._known[pair] for pair in pairs]).reshape(-1, 23)
        per_study = meteor_from_sums(rows)
        corpus = float(meteor_from_sums(rows.sum(axis=0, keepdims=True))[0]) if len(rows) else 0.0
        return MeteorScores(corpus, per_study, rows)

    def prepare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Score pairs of report and reference that will be asked for: at once, which is quicker."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        new.sort(key=itemgetter(1))  # the pairs of a reference are worked on together
        for begin in range(0, len(new), _PAIRS_TOGETHER):
            part = new[begin : begin + _PAIRS_TOGETHER]
            self._known.update(zip(part, self._best_rows(part), strict=True))

    def _best_rows(self, pairs: Sequence[tuple[str, str]]) -> Iterator[np.ndarray]:
        lines = {text: _one_line(text) for pair in pairs for text in pair}
        asked = [_fields(lines[hyp], lines[ref]) for hyp, ref in pairs]
        rows = self._statistics([(hyp, ref) for hyp, refs in asked for ref in refs])
        end = 0
        for _, refs in asked:
            begin, end = end, end + len(refs)
            several = rows[begin:end]
            yield (
                several[int(np.argmax(meteor_from_sums(several)))] if len(refs) > 1 else several[0]
            )

    def _statistics(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        known: dict[str, int] = {}
        numbers = np.array([[known.setdefault(t, len(known)) for t in pair] for pair in pairs])
        split = [words(text, self._resources.abbreviations) for text in known]
        texts = Texts(self._vocabulary, split)
        rows = np.empty((len(pairs), 23))
        for batch in _batches(*texts.lengths[numbers].T):
            rows[batch] = _batch_statistics(texts, *numbers[batch].T)
        return rows


def _one_line(text: str) -> str:
    """What of a text reaches the jar: UTF-8, in one line."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _fields(hyp: str, ref: str) -> tuple[str, list[str]]:
    """Report and references as METEOR takes them from the line that pycocoevalcap writes."""
    if _SEPARATOR not in hyp and _SEPARATOR not in ref:
        return hyp, [ref]
    hyp = hyp.replace(_SEPARATOR, "").replace("  ", " ")
    fields = f"SCORE {_SEPARATOR} {ref} {_SEPARATOR} {hyp}".split(_SEPARATOR)
    return fields[-1].strip(), [field.strip() for field in fields[1:-1]]


def _batches(hyps: np.ndarray, refs: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of like length, few enough to be worked on together."""
    order = np.lexsort((hyps, refs))
    end = len(order)
    while end:
        longest = int(refs[order[end - 1]]) + 1
        size = min(_PAIRS_AT_ONCE, max(1, _WORDS_AT_ONCE // longest))
        yield order[max(0, end - size) : end]
        end = max(0, end - size)


def _batch_statistics(texts: Texts, hyps: np.ndarray, refs: np.ndarray) -> np.ndarray:
    """The rows of some pairs, (n, 23)."""
    matches = find_matches(texts, hyps, refs)
    kept, chunks = align(matches, texts.lengths[hyps], texts.lengths[refs])
    found = Matches(*(column[kept] for column in matches))
    rows = np.zeros((len(hyps), 23))
    sides = (
        (0, hyps, found.other, found.other_length),
        (1, refs, found.start, found.length),
    )
    cell = found.pair * _MODULES + found.module
    cells = len(hyps) * _MODULES
    for side, numbers, place, length in sides:
        begins, lengths = texts.begins[numbers], texts.lengths[numbers]
        less = texts.function_words
        rows[:, side] = lengths
        rows[:, 2 + side] = less[begins + lengths] - less[begins]
        first = begins[found.pair] + place
        function = less[first + length] - less[first]
        content = np.bincount(cell, length - function, cells).reshape(-1, _MODULES)
        function = np.bincount(cell, function, cells).reshape(-1, _MODULES)
        rows[:, 4 + side : 20 : 4] = content
        rows[:, 6 + side : 20 : 4] = function
        rows[:, 21 + side] = (content + function).sum(axis=1)
    whole = (rows[:, 21:23] == rows[:, 0:2]).all(axis=1) & (chunks == 1)
    rows[:, 20] = np.where(whole, 0, chunks)
    return rows
