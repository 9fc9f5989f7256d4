"""Texts as METEOR compares them: words as numbers, and which words and phrases say the same."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kia.evaluation.language.meteor.hashes import LONGEST, joined, phrase_hash
from kia.evaluation.language.meteor.ordering import order_by, spread
from kia.evaluation.language.meteor.resources import Resources
from kia.evaluation.language.meteor.stemming import stem

EXACT, STEM, SYNONYM, PARAPHRASE = range(4)
"""The modules, in the order in which METEOR asks them."""


def java_hash(text: str) -> int:
    """``String.hashCode`` of Java: METEOR takes words of equal hash for the same."""
    value = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for unit in memoryview(units).cast("H"):
        value = value * 31 + unit & 0xFFFFFFFF
    return value


class Vocabulary:
    """Every word that was met, and what METEOR's modules know of it."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.numbers: dict[str, int] = {}
        self.keys: list[int] = []
        self.stems: list[int] = []
        self.synsets: list[set[int]] = []
        self.counts_less: list[bool] = []
        self.hashes: list[int] = []
        self.sizes: list[int] = []

    def number(self, word: str) -> int:
        """The number of a word, from 0 in the order in which they came."""
        known = self.numbers.get(word)
        if known is None:
            known = self.numbers[word] = len(self.numbers)
            self.keys.append(java_hash(word))
            self.stems.append(java_hash(stem(word)))
            self.synsets.append(self.resources.synsets(word))
            self.counts_less.append(word.lower() in self.resources.function_words)
            self.hashes.append(phrase_hash(word))
            self.sizes.append(min(len(word.encode("utf-8", "surrogatepass")), LONGEST))
        return known


class Relation(NamedTuple):
    """What says the same as a phrase, in METEOR's order of module and file.

    Attributes:
        begins: Where the entries of a phrase begin, (phrases,).
        counts: How many there are, (phrases,).
        module: Of each entry.
        other: The other phrase of each entry.
    """

    begins: np.ndarray
    counts: np.ndarray
    module: np.ndarray
    other: np.ndarray

    @classmethod
    def of(
        cls, phrases: int, this: np.ndarray, module: np.ndarray, other: np.ndarray
    ) -> "Relation":
        """From entries in any order of phrases; those of a phrase and module stay in theirs."""
        order = order_by([this, module])
        counts = np.bincount(this, minlength=phrases)
        return cls(np.cumsum(counts) - counts, counts, module[order], other[order])


class Phrases(NamedTuple):
    """Where phrases stand in texts, by text, place and length.

    Attributes:
        begins: Where the phrases of a text begin, (texts,).
        counts: How many there are, (texts,).
        place: First word of a phrase in its text.
        length: Its words.
        phrase: Its number.
    """

    begins: np.ndarray
    counts: np.ndarray
    place: np.ndarray
    length: np.ndarray
    phrase: np.ndarray


class Texts:
    """Texts and all that says the same among their words and phrases.

    Args:
        vocabulary: Is added to.
        texts: Words of each text.

    Attributes:
        begins: Where the words of a text begin among all, (texts,).
        lengths: Words of a text, (texts,).
        function_words: How many of the words before each count less, (words + 1,).
        same_words: Texts of equal number have the same words, (texts,).
        said, heard: Phrases that have an entry in `relation`, and those that are one of another.
        relation: Of all modules.
        phrases_said: As `said`, for `paraphrases`.
        paraphrases: The entries of the last module.
    """

    def __init__(self, vocabulary: Vocabulary, texts: Sequence[Sequence[str]]) -> None:
        number = vocabulary.number
        numbered = [[number(word) for word in text] for text in texts]
        flat = np.array([word for text in numbered for word in text], np.int64)
        self.lengths = np.array([len(text) for text in numbered], np.int64)
        self.begins = np.cumsum(self.lengths) - self.lengths
        less = np.array(vocabulary.counts_less, bool)[flat]
        self.function_words = np.concatenate([[0], np.cumsum(less)])
        keys = vocabulary.keys
        kinds: dict[tuple[int, ...], int] = {}
        self.same_words = np.array(
            [kinds.setdefault(tuple(keys[word] for word in text), len(kinds)) for text in numbered]
        )
        self._relate(vocabulary, flat)

    def _relate(self, vocabulary: Vocabulary, flat: np.ndarray) -> None:
        hashes = np.array(vocabulary.hashes, np.int64)
        text, place, length, found = self._all_phrases(vocabulary, hashes, flat)
        distinct, phrase = np.unique(found, return_inverse=True)
        para_this, para_other = _paraphrases(vocabulary.resources, distinct)
        words = np.unique(flat)
        word_this, module, word_other = _related_words(vocabulary, words)
        of_word = np.searchsorted(distinct, hashes[words])
        this = np.concatenate([of_word[word_this], para_this])
        other = np.concatenate([of_word[word_other], para_other])
        modules = np.concatenate([module, np.full(len(para_this), PARAPHRASE)])
        count = len(distinct)
        self.relation = Relation.of(count, this, modules, other)
        self.paraphrases = Relation.of(count, para_this, modules[len(word_this) :], para_other)
        rows = (text, place, length, phrase)
        self.said = self._kept(self.relation.counts[phrase] > 0, *rows)
        self.phrases_said = self._kept(self.paraphrases.counts[phrase] > 0, *rows)
        self.heard = self._kept((np.bincount(other, minlength=count) > 0)[phrase], *rows)

    def _all_phrases(
        self, vocabulary: Vocabulary, hashes: np.ndarray, flat: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Text, place, length and hash of every phrase that is not too long for the table."""
        of_word = hashes.view(np.uint64)[flat]
        size_of_word = np.array(vocabulary.sizes, np.int64)[flat]
        text = np.repeat(np.arange(len(self.lengths)), self.lengths)
        first = np.arange(len(flat))
        place = first - self.begins[text]
        left = self.lengths[text] - place
        value, size = of_word, size_of_word
        parts = []
        for length in range(1, vocabulary.resources.longest + 1):
            parts.append((text, place, np.full(len(text), length), value.view(np.int64)))
            more = left > length
            text, place, left, first = text[more], place[more], left[more], first[more]
            following = first + length
            value = joined(value[more], size[more], of_word[following])
            size = np.minimum(size[more] + 1 + size_of_word[following], LONGEST)
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]

    def _kept(
        self,
        kept: np.ndarray,
        text: np.ndarray,
        place: np.ndarray,
        length: np.ndarray,
        phrase: np.ndarray,
    ) -> Phrases:
        rows = np.flatnonzero(kept)
        rows = rows[order_by([text[rows], place[rows], length[rows]])]
        counts = np.bincount(text[rows], minlength=len(self.lengths))
        return Phrases(np.cumsum(counts) - counts, counts, place[rows], length[rows], phrase[rows])


def _paraphrases(resources: Resources, distinct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of phrases, of those with these hashes, that METEOR's table has."""
    begins, counts = resources.paraphrases.spans(distinct)
    sources = np.flatnonzero(counts)
    rows, entries = spread(begins[sources], counts[sources])
    values = resources.paraphrases.values[entries]
    at = np.minimum(np.searchsorted(distinct, values), max(len(distinct) - 1, 0))
    known = distinct[at] == values
    return sources[rows[known]], at[known]


def _related_words(
    vocabulary: Vocabulary, words: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First word, module and second word of pairs of words, as places in `words`."""
    keys = np.array(vocabulary.keys, np.int64)[words]
    stems = np.array(vocabulary.stems, np.int64)[words]
    lists = [list(vocabulary.synsets[word]) for word in words]
    holder = np.repeat(np.arange(len(words)), [len(senses) for senses in lists])
    senses = np.array([sense for found in lists for sense in found], np.int64)
    everyone = np.arange(len(words))
    pairs = [
        _sharing(everyone, keys, len(words)),
        _sharing(everyone, stems, len(words)),
        _sharing(holder, senses, len(words)),
    ]
    module = np.repeat([EXACT, STEM, SYNONYM], [len(first) for first, _ in pairs])
    this = np.concatenate([first for first, _ in pairs])
    other = np.concatenate([second for _, second in pairs])
    kept = (module == EXACT) | (keys[this] != keys[other])
    return this[kept], module[kept], other[kept]


def _sharing(holders: np.ndarray, marks: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of holders with a mark in common, each once."""
    order = np.argsort(marks, kind="stable")
    holders, marks = holders[order], marks[order]
    begins = np.searchsorted(marks, marks, "left")
    rows, others = spread(begins, np.searchsorted(marks, marks, "right") - begins)
    codes = np.unique(holders[rows] * count + holders[others])
    return codes // max(count, 1), codes % max(count, 1)
