"""Spaces of a report that word pieces lost: what stood together is put together again.

BERT's tokenizers part words from every mark of punctuation and do not say which of them stood
together; the ceiling of every score is what this gives back (docs/evaluation.md). Where a report
has spaces of its own ("normal .", "effusion.heart"), vocabularies with two further tokens say so
(docs/decisions/0038-own-spaces.md).
"""

import re
from collections.abc import Mapping
from itertools import accumulate, pairwise

JOINED, SPACED = "[JOINED]", "[SPACED]"
"""Tokens between two words: here is no space where there would be one, and the other way round."""

# as transformers closes spaces up, in its order
_SPACES = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
# word pieces do not say what stood together, so this is how reports are written
_TOGETHER = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r" ([:;)\]])", r"\1"),
        (r"([(\[]) ", r"\1"),
        (r"(?<=[\w)]) ([-/]) (?=[\w(])", r"\1"),  # left-sided, and/or, T1-T2
        # 2.5 cm, but "1. 2 nodules", "2. 3. "
        (r"(?<=\d)\. (?=\d)(?!\d+[.)])(?<!^\d\. )(?<!\. \d\. )", "."),
        (r"(?<=\d), (?=\d{3}\b)", ","),
        (r"(?<=\d): (?=\d)", ":"),
        (r"(?<=\d) (?=%)", ""),
        (r"(?<=#) (?=\d)", ""),
        (r"_ (?=_)", "_"),  # MIMIC's ___
        (r"\+ ?/ ?-", "+/-"),
        (r"\b(e|i|a|p)\. (g|e|m)\.", r"\1.\2."),
    )
)


def closed_up(text: str) -> str:
    """Decoded word pieces without the spaces that reports do not have.

    Args:
        text: Word pieces with a space between any two, as WordPiece decodes them.

    Returns:
        The text as it is written: "2.5 cm left-sided (old) t11/t12." Where a collection itself has
        a space before a full stop or around a hyphen, that is lost.
    """
    for spaced in _SPACES:
        text = text.replace(spaced, spaced.strip())
    for pattern, kept in _TOGETHER:
        text = pattern.sub(kept, text)
    return text


def own_spaces(written: str, usual: str) -> dict[int, str]:
    """Where a text has other spaces than `closed_up` would give it.

    Args:
        written: The text, with single white space.
        usual: The same letters as `closed_up` spaces them.

    Returns:
        Number of letters before the place → JOINED or SPACED, in order; nothing if the letters are
        not the same (a word piece was unknown).
    """
    if written == usual or written.replace(" ", "") != usual.replace(" ", ""):
        return {}
    own, default = _spaces(written), _spaces(usual)
    return {place: SPACED if place in own else JOINED for place in sorted(own ^ default)}


def with_own_spaces(usual: str, marks: Mapping[int, str]) -> str:
    """The text that `own_spaces` was given, of what it gave back.

    A mark that says what is so already, or lies outside the text, changes nothing.
    """
    letters = usual.replace(" ", "")
    spaces = _spaces(usual)
    spaces |= {place for place, mark in marks.items() if mark == SPACED}
    spaces -= {place for place, mark in marks.items() if mark == JOINED}
    places = [0, *sorted(place for place in spaces if 0 < place < len(letters)), len(letters)]
    return " ".join(letters[a:b] for a, b in pairwise(places))


def _spaces(text: str) -> set[int]:
    """How many letters stand before each space."""
    return set(accumulate(len(word) for word in text.split(" ")[:-1]))
