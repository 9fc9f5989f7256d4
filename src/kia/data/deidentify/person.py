"""Where the name of a person ends that starts at some place of a text."""

import re
from enum import Enum

from kia.data.deidentify.vocabulary import vocabulary

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_INITIAL = re.compile(r"[A-Z](?:\.(?:-?[A-Z]\.)*|(?![^\W_]|['’]\w))")
_PARTICLES = re.compile(
    r"(?:(?:van|von|der|den|de|la|las|los|del|della|di|da|dos|du|le|el|al|bin|ibn|ter|ten|zu)\s+)+"
    r"(?=[A-Z])",
    re.IGNORECASE,
)
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
        return known and not word.isupper() and (trust is Trust.TITLE or follows_given)
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
    if is_eponym(text, start) and trust not in (Trust.TITLE, Trust.LABEL):
        return start
    end, position, words, initials, given = start, start, 0, 0, False
    for _ in range(_MOST_WORDS):
        if particles := _PARTICLES.match(text, position):
            position = particles.end()
        if initial := _INITIAL.match(text, position):
            initials += 1
            if words:
                end = initial.start() + len(initial[0].rstrip("."))
            elif trust in (Trust.KNOWN, Trust.GIVEN):
                break
            position = _gap(text, initial.end())
            continue
        word = _WORD.match(text, position)
        if word is None or not is_name(own := _without_s(word[0]), trust, given):
            break
        words += 1
        end = word.start() + len(own)
        if end < word.end():
            break  # "Smith's"
        given = own.lower() in vocabulary().given
        trust = Trust.WEAK if trust in (Trust.TITLE, Trust.KNOWN, Trust.GIVEN) else trust
        position = _comma(text, end, given, trust) if words == 1 else _gap(text, end)
        if position == end:
            break
    if not words and initials and trust is Trust.TITLE:
        return start + 1  # "Dr. B."
    return end if words else start


def is_eponym(text: str, start: int) -> bool:
    """Whether an eponym of several words, as "Ivor Lewis", starts at a place."""
    ahead = text[start : start + 40].lower()
    return any(
        ahead.startswith(name) and not ahead[len(name) : len(name) + 1].isalpha()
        for name in vocabulary().eponyms
        if name[0] == ahead[:1] and not name.isalpha()
    )


def _without_s(word: str) -> str:
    return word[:-2] if word.endswith(("'s", "’s", "'S", "’S")) else word


def _comma(text: str, end: int, given: bool, trust: Trust) -> int:
    """Where the next word of a name starts: "Smith John" and "Smith, John"; `end` if none can."""
    follows = re.compile(r",\s?(?=([A-Z][^\W\d_]+))").match(text, end)
    if follows and not given:
        first = follows[1].lower()
        if first in vocabulary().given or (trust is Trust.LABEL and is_name(follows[1], trust)):
            return follows.end()
    return _gap(text, end)


def _gap(text: str, end: int) -> int:
    """The place after the space at `end`, which may be a line that was wrapped; else `end`."""
    space = re.compile(r"[ \t]*(\n?)[ \t]*").match(text, end)
    if space is None or space.end() == end:
        return end
    if space[1] and end - text.rfind("\n", 0, end) < _WRAPPED:
        return end
    return space.end()
