"""The phrases of `observations.yaml` and `cues.yaml`, and a report cut into sentences of tokens.

A phrase is words in a row: `a|b` either word, `word?` may be missing, `<name>` any word of a
class, `a_b` two words in the place of one. All phrases stand in one tree of words, so a sentence
is read once, however many there are.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from itertools import product
from typing import Any, NamedTuple

import yaml

MAX_TOKENS = 150
"""Longer sentences (tables, text without full stops) are read in pieces, so that time is linear."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_PLURAL = re.compile(r"(?<=[a-z]{3})(?<![sui])s\b")
_PLURAL_Y = re.compile(r"(?<=[a-z]{2})ies\b")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_SLASH = re.compile(r"\b(?:and/or|w/o|s/p|r/o|h/o)\b|(?<=[a-z])/(?=[a-z])")
# A full stop between a letter and a capital ends a sentence too: "in the apex.There is".
_SENTENCE = re.compile(
    r"(?:(?<=[.!])(?<![Vv][Ss]\.)|(?<=\w\?))\s+|(?<=[a-z]\.)(?=[A-Z])|\n\s*\n"
    r"|\n(?=\s*(?:[-•*]\s|[A-Z][A-Za-z /]*:))"  # a line with a bullet or a header
    r"|(?<!\S)(?=\d{1,2}[.)]\s)"
)
_HEADER = re.compile(r"(?:^|(?<=[\n.]))[ \t]*([A-Za-z][A-Za-z ]{2,40}):")
_BLANK_LINE = re.compile(r"\S\s*?\n[ \t]*\n")


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
    if "/" in text:
        text = _SLASH.sub(_spell_out, text)
    written = _TOKEN.findall(text)
    if "ies" in text:
        text = _PLURAL_Y.sub("y", text)
    return written, _TOKEN.findall(_PLURAL.sub("", text))


def _spell_out(slash: re.Match[str]) -> str:
    return {"/": " or ", "and/or": "or"}.get(slash[0], slash[0].replace("/", " "))


class PhraseTree:
    """Finds the longest phrase at each place of a sentence, in one pass."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, phrases: Iterable[str], term: Term, classes: dict[str, list[str]]) -> None:
        """Enters every reading of the phrases.

        Raises:
            ValueError: A reading already stands for something else.
        """
        for phrase in phrases:
            for words in _readings(str(phrase), classes):
                node = self._root
                for word in words:
                    node = node.setdefault(word, {})
                known = node.get("")
                if known is not None and known.role == term.role == "finding":
                    node[""] = Term("finding", {**known.value, **term.value})
                elif known not in (None, term):
                    raise ValueError(f"phrase {phrase!r} is both {known} and {term}")
                else:
                    node[""] = term

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


def _readings(phrase: str, classes: dict[str, list[str]]) -> Iterator[list[str]]:
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


class Lexicon(NamedTuple):
    """All that the labeler knows.

    Attributes:
        tree: Every phrase.
        subjects: Anatomy → predicate → {observation: value} or "other".
        skipped_headers: Sections that do not describe the image.
        known_headers: These and the sections that do.
    """

    tree: PhraseTree
    subjects: dict[str, dict[str, Any]]
    skipped_headers: frozenset[str]
    known_headers: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """The shipped lexicon, read at first use."""
    words, cues = _load("observations.yaml"), _load("cues.yaml")
    classes, tree = words["classes"], PhraseTree()
    for value, block in ((1, "present"), (-1, "uncertain"), (0, "absent")):
        for observation, phrases in words[block].items():
            tree.add(phrases, Term("finding", {observation: value}), classes)
    for role in ("other", "nothing", "bone_trouble", "neutral"):
        tree.add(words[role], Term(role, None), classes)
    for name, subject in words["subjects"].items():
        tree.add(subject.pop("phrases"), Term("subject", name), classes)
    for name, phrases in words["predicates"].items():
        tree.add(phrases, Term("predicate", name), classes)
    headers = cues.pop("headers")
    for role, phrases in cues.items():
        tree.add(phrases, Term(role, None), classes)
    skipped = frozenset(headers["skip"])
    return Lexicon(tree, words["subjects"], skipped, skipped | frozenset(headers["read"]))


def _load(name: str) -> dict[str, Any]:
    text = resources.files("kia.knowledge.labels").joinpath(name).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert isinstance(content, dict)
    return content


def sentences_of(text: str) -> list[str]:
    """The sentences of a report that describe the image; indication, comparison … are left out."""
    if ":" in text:
        text = _described(text)
    return [piece for piece in _SENTENCE.split(text) if piece and not piece.isspace()]


def _described(text: str) -> str:
    """The report without the headers of its sections and without sections to be skipped."""
    known, skipped = lexicon().known_headers, lexicon().skipped_headers
    kept: list[str] = []
    place, skipping = 0, False
    for header in _HEADER.finditer(text):
        _keep(kept, text[place : header.start()], skipping)
        name = " ".join(header[1].lower().split())
        skipping = name in skipped
        place = header.end() if name in known else header.start()
    _keep(kept, text[place:], skipping)
    return "\n\n".join(kept)


def _keep(kept: list[str], section: str, skipping: bool) -> None:
    if skipping:  # a blank line ends a section, so that text without header is read
        ended = _BLANK_LINE.search(section)
        section = section[ended.end() :] if ended else ""
    kept.append(section)
