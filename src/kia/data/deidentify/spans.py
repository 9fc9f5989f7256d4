"""Where a text holds something personal, and the text without it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "name",
    "date",
    "age over 89",
    "record number",
    "device number",
    "telephone number",
    "e-mail or web address",
    "place",
]
"""What is found: of the identifiers of 45 CFR 164.514(b)(2)(i), those that occur in texts."""

MARK = "___"
"""What stands for something personal: MIMIC's convention."""


@dataclass(frozen=True, slots=True, order=True)
class Personal:
    """A piece of text that tells who somebody is.

    Attributes:
        start: Its first character.
        end: The one after its last.
        kind: What it is.
    """

    start: int
    end: int
    kind: Kind


def matches(pattern: re.Pattern[str], text: str, kind: Kind) -> Iterator[Personal]:
    """The groups "x" of a pattern, or all that it matches where it has no such group."""
    group = "x" if "x" in pattern.groupindex else 0
    for match in pattern.finditer(text):
        yield Personal(*match.span(group), kind)


def disjoint(found: Iterable[Personal]) -> list[Personal]:
    """The pieces in the order of the text; those that overlap become one, of the longer's kind."""
    merged: list[Personal] = []
    for piece in sorted(found):
        last = merged[-1] if merged else None
        if last is None or piece.start >= last.end:
            merged.append(piece)
            continue
        kind = max(last, piece, key=lambda one: one.end - one.start).kind
        merged[-1] = Personal(last.start, max(last.end, piece.end), kind)
    return merged


def replaced(text: str, found: Iterable[Personal]) -> str:
    """The text with a `MARK` for each piece.

    Args:
        text: Any.
        found: Disjoint pieces of it, in order.
    """
    parts, position = [], 0
    for piece in found:
        parts += [text[position : piece.start], MARK]
        position = piece.end
    return "".join([*parts, text[position:]])
