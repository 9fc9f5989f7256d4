"""Where the name of a person ends that starts at some place of a text."""

import re
from enum import Enum
from functools import cache

from kia.data.deidentify.vocabulary import vocabulary

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_INITIAL = re.compile(r"[A-Z](?:\.(?:-?[A-Z]\.)*|(?![^\W_]|['’]\w))")
_PARTICLES = re.compile(
    r"(?:(?:van|von|der|den|de|la|las|los|del|della|di|da|dos|du|le|el|al|bin|ibn|ter|ten|zu)\s+)+"
    r"(?=[A-Z])",
    re.IGNORECASE,
)
_NEXT = re.compile(r",\s?(?=([A-Z][^\W\d_]+))")
_SPACE = re.compile(r"[ \t]*(\n?)[ \t]*")
_MOST_WORDS = 5
_WRAPPED = 50  # characters before a line break that is none of the writer's


class Trust(Enum):
    """How sure it is that a name stands at a place.

    TITLE: after "Dr."; LABEL: after "Radiologist:"; WEAK: after "discussed with"; KNOWN: only
    names of the lists count; GIVEN: the word is a given name, but may be something else.
    """

    TITLE = "title"
    LABEL = "label"
    WEAK = "weak"
    KNOWN = "known"
    GIVEN = "given"


def is_name(word: str, trust: Trust, follows_given: bool = False) -> bool:
    """Whether a word may be (part of) a name.

    Args:
        word: Letters, hyphens, apostrophes; capitalised unless it is none.
        trust: What stands before it.
        follows_given: Whether a frequent given name stands before it.
    """
    words, lower = vocabulary(), word.lower()
    if len(word) < 2 or not word[0].isupper() or set(lower) == {"x"}:
        return False
    known = lower in words.surnames or lower in words.given
    if lower in words.roles:
        sure = trust is Trust.TITLE or follows_given
        return known and sure and not word.isupper()
    if trust is Trust.TITLE:
        return True
    if trust is Trust.KNOWN:
        return known and not words.is_ordinary(lower) and lower not in words.eponyms
    if words.is_ordinary(lower):
        return known and (trust is Trust.LABEL or follows_given)
    return trust is Trust.LABEL or follows_given or known or lower not in words.eponyms


def name_end(text: str, start: int, trust: Trust) -> int:
    """The end of the name that starts at a place; `start` if none does.

    Args:
        text: Any.
        start: The first character of its first word or initial.
        trust: What stands before it.
    """
    end, position, given = start, start, False
    for number in range(_MOST_WORDS):
        particles = _PARTICLES.match(text, position)  # "van den": what follows is a name
        position = particles.end() if particles else position
        if initial := _INITIAL.match(text, position):
            if trust in (Trust.KNOWN, Trust.GIVEN):
                break
            if end > start or trust is Trust.TITLE:
                end = initial.start() + len(initial[0].rstrip("."))
            position = _gap(text, initial.end())
            continue
        word = _WORD.match(text, position)
        own = _without_s(word[0]) if word else ""
        if not (particles and own) and not is_name(own, trust, given):
            break
        end = position + len(own)
        given = own.lower() in vocabulary().given
        trust = trust if trust is Trust.LABEL else Trust.WEAK
        after = _comma(text, end, given, trust) if number == 0 else _gap(text, end)
        if after == end:  # also at "Smith's"
            break
        position = after
    return end


def eponyms_in(text: str) -> list[tuple[int, int]]:
    """Start and end of the eponyms of several words, as "Ivor Lewis", in a text."""
    return [match.span() for match in _eponyms().finditer(text)]


@cache
def _eponyms() -> re.Pattern[str]:
    names = sorted((n for n in vocabulary().eponyms if not n.isalpha()), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b", re.IGNORECASE)


def _without_s(word: str) -> str:
    return word[:-2] if word.endswith(("'s", "’s", "'S", "’S")) else word


def _comma(text: str, end: int, given: bool, trust: Trust) -> int:
    """Where the next word of a name starts: "Smith John" and "Smith, John"; `end` if none can."""
    follows = _NEXT.match(text, end)
    if follows and not given:
        first = follows[1].lower()
        if first in vocabulary().given or (trust is Trust.LABEL and is_name(follows[1], trust)):
            return follows.end()
    return _gap(text, end)


def _gap(text: str, end: int) -> int:
    """The place after the space at `end`, which may be a line that was wrapped; else `end`."""
    space = _SPACE.match(text, end)
    if space is None or space.end() == end:
        return end
    if space[1] and end - text.rfind("\n", 0, end) < _WRAPPED:
        return end
    return space.end()
