"""Cleans report text for the model; what a metric does to text belongs to kia.evaluation."""

import re
import unicodedata

_WORD = re.compile(r"\w+(?:(?:['/-]|(?<=\d)\.(?=\d))\w+)*|[^\w\s]")


def normalise(report: str) -> str:
    """Raw report without control characters and with single spaces; case is kept."""
    text = unicodedata.normalize("NFC", report)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
    return " ".join(text.split())


def target_text(report: str) -> str:
    """Text that the model learns to write: `normalise`, lower-case.

    De-identified words stay as "xxxx" tokens; punctuation is left to the tokenizer.
    """
    return normalise(report).lower()


def words(report: str) -> list[str]:
    """Words and punctuation marks of the target text; decimals and hyphenated words stay whole."""
    return _WORD.findall(target_text(report))
