"""Spaces of a report that word pieces lost: what stood together is put together again.

BERT's tokenizers part words from every mark of punctuation and do not say which of them stood
together; the ceiling of every score is what this gives back (docs/evaluation.md).
"""

import re

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
