"""Anatomical landmarks: their key patches, and where a report mentions them (Paper: Sec. 3.2).

The words of each landmark, and what counts as a mention, are in `landmarks.yaml`.
"""

import re
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from kia.knowledge.atlas.places import LANDMARKS, SIDED, shipped_atlas

__all__ = ["LANDMARKS", "key_patches", "mentioned_landmarks"]

_SIDES = ("right", "left")
_LEVEL = r"(?:upper|middle|mid|lower)"
_AND = r"(?: ?[,/&-] ?| )(?:and |or |to )?"
_BOTH = re.compile(r"bilateral|both|right.*left|left.*right")
_PLURAL = re.compile(r"(?:s|ices|hila|sulci|hemithoraces)$")

_OF_LUNG = re.compile(r" of (?:the )?(left|right|both) (?:lungs?|hemithorax)")

_Sides = tuple[str, ...]
_Parts = tuple[tuple[str, _Sides | None], ...]
"""Names without side, and the sides that are fixed: ("",) for a part that has none."""

# The side may follow its part: "costophrenic angle on the left", "perihilar right lung".
_SIDE_AFTER = re.compile(
    r"(?: [a-z]+){0,2}? (?:on|at|in|of) the (left|right)(?: side)?"
    r"(?= ?[.,;:)]|$| (?:and|or|with|is|are|which|than|may|side|as)\b)"
    r"| (left|right)(?= lung\b)"
)


@cache
def key_patches(name: str, grid: int = 14) -> NDArray[np.int64]:
    """The patches that stand for a landmark in the atlas that comes with kia.

    Args:
        name: One of LANDMARKS, e.g. "right lung"; patient right is image left.
        grid: Patches a side of the image.

    Returns:
        Row-major patch numbers (row · grid + column): 20 for the paper's 14 × 14 grid, the same
        share for others. Read-only.

    Raises:
        UsageError: No such landmark or grid.
    """
    patches = shipped_atlas().key_patches(name, grid)
    patches.flags.writeable = False
    return patches


def mentioned_landmarks(text: str) -> tuple[str, ...]:
    """The landmarks that a report mentions, by word matching with synonyms and sides.

    Args:
        text: A report, raw.

    Returns:
        Names in the order of LANDMARKS; empty if none is mentioned.
    """
    text = " ".join(text.lower().split())
    found: set[str] = set()
    sides: _Sides | None = None  # that the words so far give to the next part
    carried = False  # over "and" or a comma, from the part before
    end = 0  # of the part before
    for match in _tokens().finditer(text):
        kind, word = match.lastgroup, match.group()
        if kind == "stop":
            sides = None
        elif kind == "side":
            sides, carried = (_SIDES if _BOTH.match(word) else (word,)), False
        elif kind == "join":
            carried = True
            if match.start() - end > 1:  # the side belongs to what stands before, not to a list
                sides = None
            else:
                end = match.end()
        else:
            end = match.end()
            parts, own_sides = _levels(word) if kind == "levels" else _parts(word)
            after = _SIDE_AFTER.match(text, end)
            if after:
                own_sides = (after[1] or after[2],)
            elif carried and _PLURAL.search(word):
                sides = None
            for part, fixed in parts:
                chosen = fixed or own_sides or sides or _SIDES
                found.update(f"{side} {part}" if side else part for side in chosen)
    return tuple(name for name in LANDMARKS if name in found)


@cache
def _lexicon() -> dict[str, Any]:
    file = resources.files("kia.knowledge.atlas") / "landmarks.yaml"
    lexicon: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return lexicon


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """(key of the lexicon or "", pattern) of every phrase, longer phrases first."""
    lexicon = _lexicon()
    named = [
        *lexicon["both_sides"].items(),
        *lexicon["one_place"].items(),
        ("", lexicon["nowhere"]),
    ]
    phrases = [(name, pattern) for name, patterns in named for pattern in patterns]
    phrases.sort(key=lambda phrase: _length(phrase[1]), reverse=True)
    return [
        (name, re.compile(pattern.replace(" ", "[ -]").replace("(", "(?:")))
        for name, pattern in phrases
    ]


def _length(pattern: str) -> tuple[int, int]:
    """Words and characters of a pattern without its optional parts."""
    needed = re.sub(r"(?:\([^()]*\)|.)\?", "", pattern)
    return needed.count(" "), len(needed)


@cache
def _tokens() -> re.Pattern[str]:
    """Everything that matters in a report: sides, parts, words that join and words that part."""
    side = r"(?:left|right)"
    lung = (
        r"(?:lobes?|lungs?(?![ -]volume)(?: (?:zones?|fields?))?|zones?|fields?|hemithora(?:x|ces))"
    )
    levels = rf"{_LEVEL}(?:{_AND}(?:{side} )?{_LEVEL}){{0,4}}[ -]?(?:{side} )?{lung}"
    phrases = "|".join(pattern.pattern for _, pattern in _patterns())
    of_lung = rf"(?:{_OF_LUNG.pattern.replace('(left', '(?:left')})?"
    two = rf"{side}(?:(?: and | or | ?/ ?){side}|(?: [a-z]+){{1,2}} than (?:the )?{side})"
    stops = (
        r"[.;:?!()]|\b(?:with|without|is|are|was|were|has|have|in|at|within|on|from|to|of|the|there"
        r"|this|that|which|may|but|no|not|for|by|due|over|near|than|compared|representing)\b"
    )
    return re.compile(
        rf"(?P<levels>\b{levels}{of_lung}\b)|(?P<part>\b(?:{phrases}){of_lung}\b)"
        rf"|(?P<side>\b(?:{two}|{side}|bilateral(?:ly)?|both)\b)"
        rf"|(?P<join>[,/&]|\b(?:and|or)\b)|(?P<stop>{stops})"
    )


@lru_cache(maxsize=4096)
def _parts(phrase: str) -> tuple[_Parts, _Sides | None]:
    """The parts that a phrase of the lexicon names, and the side of the lung that it names."""
    body = _OF_LUNG.sub("", phrase)
    parts = [
        (name, None if name in SIDED else ("",))
        for name, pattern in _patterns()
        if name and pattern.fullmatch(body)
    ]
    return tuple(dict.fromkeys(parts)), _lung_side(phrase)


@lru_cache(maxsize=4096)
def _levels(phrase: str) -> tuple[_Parts, _Sides | None]:
    """The zones of "upper and right lower lobe", and the side of the lung if it comes last."""
    body = _OF_LUNG.sub("", phrase)
    zones: list[tuple[str, _Sides | None]] = []
    for side, level in re.findall(rf"(?:(left|right) )?({_LEVEL})", body):
        middle_lobe = "lobe" in body and level.startswith("mid")  # only the right lung has one
        side = "right" if middle_lobe else side
        zones.append((f"{level.replace('middle', 'mid')} lung zone", (side,) if side else None))
    last = re.search(r"(left|right) (?:lobe|lung|zone|field|hemi)", body)
    return tuple(zones), (last[1],) if last else _lung_side(phrase)


def _lung_side(phrase: str) -> _Sides | None:
    match = _OF_LUNG.search(phrase)
    return (match[1],) if match and match[1] in _SIDES else None
