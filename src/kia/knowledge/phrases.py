"""Phrases of words, and the tree that finds them: what the lexicons of knowledge are written in.

A phrase is words in a row: `a|b` either word, `word?` may be missing, `<name>` any word of a
class, `a_b` two words in the place of one. All phrases stand in one tree of words, so a sentence
is read once, however many there are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import resources
from itertools import product
from typing import Any, NamedTuple

import yaml

_TOKEN = re.compile(r"\w+|[^\w\s]")
_PLURAL = re.compile(r"(?<=[a-z]{3})(?<![sui])s\b")
_PLURAL_Y = re.compile(r"(?<=[a-z]{2})ies\b")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_NOT = re.compile(r"(can|\w+)(?:(?<=can)|n)['’]t\b")
_SLASH = re.compile(r"\b(?:and/or|w/o|s/p|r/o|h/o)\b|(?<=[a-z])/(?=[a-z])")


class Term(NamedTuple):
    """What a phrase stands for: the name of its role, and what the role needs to know."""

    role: str
    value: Any


class Found(NamedTuple):
    """A phrase in a sentence: its tokens are `start` to `end` (exclusive)."""

    term: Term
    start: int
    end: int


def tokens_of(sentence: str) -> tuple[list[str], list[str]]:
    """Lower-case tokens as written, and the same without plural s, as the phrases are matched."""
    text = _HYPHEN.sub(" ", sentence.lower())
    if "n't" in text or "n’t" in text:
        text = _NOT.sub(r"\1 not", text)
    if "/" in text:
        text = _SLASH.sub(_spell_out, text)
    written = _TOKEN.findall(text)
    if "ies" in text:
        text = _PLURAL_Y.sub("y", text)
    return written, _TOKEN.findall(_PLURAL.sub("", text))


@lru_cache(maxsize=1 << 16)
def folded(word: str) -> str:
    """A lower-case word without plural s, as the phrases are matched."""
    return _PLURAL.sub("", _PLURAL_Y.sub("y", word))


def _spell_out(slash: re.Match[str]) -> str:
    return {"/": " or ", "and/or": "or"}.get(slash[0], slash[0].replace("/", " "))


class PhraseTree:
    """Finds the longest phrase at each place of a sentence, in one pass."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, phrases: Iterable[str], term: Term, classes: Mapping[str, list[str]]) -> None:
        """Enters every reading of the phrases.

        Raises:
            ValueError: A reading already stands for something else.
        """
        for phrase in phrases:
            for words in readings(str(phrase), classes):
                self.enter(words, term)

    def enter(self, words: Iterable[str], term: Term) -> None:
        """Enters one row of words.

        Raises:
            ValueError: It already stands for something else.
        """
        node = self._root
        for word in words:
            node = node.setdefault(word, {})
        known = node.get("")
        if known is not None and known.role == term.role == "finding":
            node[""] = Term("finding", {**known.value, **term.value})
        elif known not in (None, term):
            raise ValueError(f"phrase {' '.join(words)!r} is both {known} and {term}")
        else:
            node[""] = term

    def has_first(self, word: str) -> bool:
        """Whether a phrase begins with a word."""
        return word in self._root

    def longest(self, words: list[str], place: int, stop: int) -> tuple[Term, int] | None:
        """The longest phrase that begins at one of lower-case words, and the word after it."""
        node, best = self._root.get(folded(words[place])), None
        while node is not None:
            place += 1
            if "" in node:
                best = node[""], place
            node = node.get(folded(words[place])) if place < stop else None
        return best

    def find(self, tokens: list[str]) -> list[Found]:
        """The phrases in tokens (plural s taken off), longest first, without overlap."""
        root, found = self._root, []
        place, count = 0, len(tokens)
        while place < count:
            node = root.get(tokens[place])
            end = place = place + 1
            if node is None:
                continue
            term, stop = node.get(""), end
            while end < count and (node := node.get(tokens[end])) is not None:
                end += 1
                if "" in node:
                    term, stop = node[""], end
            if term is not None:
                found.append(Found(term, place - 1, stop))
                place = stop
        return found


def readings(phrase: str, classes: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Every row of words, plural s taken off, that a phrase stands for."""
    slots = []
    for slot in phrase.split(" "):
        optional = slot.endswith("?") and len(slot) > 1
        name = slot.removesuffix("?") if optional else slot
        words = [
            word
            for part in name.split("|")
            for word in (classes[part[1:-1]] if part.startswith("<") else [part])
        ]
        readings = [tokens_of(word.replace("_", " "))[1] for word in words]
        slots.append([*readings, []] if optional else readings)
    for choice in product(*slots):
        if words := [word for part in choice for word in part]:
            yield words


def load_yaml(folder: str, name: str) -> dict[str, Any]:
    """A lexicon of a package, `kia.knowledge` or one below."""
    text = resources.files(folder).joinpath(name).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert isinstance(content, dict)
    return content
