"""All that the labeler knows: `observations.yaml`, `cues.yaml` and the cues of `scope.yaml`."""

import re
from functools import cache
from typing import Any, NamedTuple

from kia.knowledge.phrases import PhraseTree, Term, load_yaml
from kia.knowledge.scope import scope_phrases
from kia.knowledge.statements import statements

MAX_TOKENS = 150
"""Longer sentences (tables, text without full stops) are read in pieces, so that time is linear."""

_HEADER = re.compile(r"(?:^|(?<=[\n.]))[ \t]*([A-Za-z][A-Za-z ]{2,40}):")
_BLANK_LINE = re.compile(r"\S\s*?\n[ \t]*\n")


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
    words = load_yaml("kia.knowledge.labels", "observations.yaml")
    cues = load_yaml("kia.knowledge.labels", "cues.yaml")
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
    for role, phrases in scope_phrases().items():
        for reading in phrases:
            tree.enter(reading, Term(role, None))
    skipped = frozenset(headers["skip"])
    return Lexicon(tree, words["subjects"], skipped, skipped | frozenset(headers["read"]))


def sentences_of(text: str) -> list[str]:
    """The sentences of a report that describe the image; indication, comparison … are left out."""
    if ":" in text:
        text = _described(text)
    return [text[start:end] for start, end in statements(text)]


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
