"""Whether a report is in English: the labeler and the graphs read no other language.

By words that only one language has, and by scripts; what says nothing (one term, "XXXX") is taken
for English. Our own lists (`language.yaml`), no statistics.
"""

import re
from collections.abc import Iterable
from functools import cache

from kia.errors import UsageError
from kia.knowledge.phrases import load_yaml

ENGLISH = "en"
ANY = "any"
OTHER = "other"
"""A language that has no name here: of another script."""

NAMES = {
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "nl": "Dutch",
    "sv": "Swedish",
    "da": "Danish",
    "pl": "Polish",
    "ro": "Romanian",
    "tr": "Turkish",
    OTHER: "another script",
}
_WEAK, _SURE, _ENOUGH = 1, 3, 3
_WORD = re.compile(r"[^\W\d_]+")
_MOST = 5000
"""Characters that are looked at."""


@cache
def _lists() -> tuple[dict[str, dict[str, int]], frozenset[str]]:
    """Word → language → weight, and the words of English."""
    content = load_yaml("kia.knowledge", "language.yaml")
    weights: dict[str, dict[str, int]] = {}
    for kind, weight in (("weak", _WEAK), ("sure", _SURE)):
        for code, words in content[kind].items():
            for word in words.split():
                if "_" not in word:
                    weights.setdefault(word, {})[code] = weight
    return weights, frozenset(content["english"].split())


def language_of(text: str) -> str:
    """The language of a report: "en", a code of `NAMES`, or "other" for another script.

    English unless the words of another language outweigh those of English.
    """
    weights, english = _lists()
    lowered = text[:_MOST].lower()
    if lowered.isascii() and weights.keys().isdisjoint(_spaced(lowered).split()):
        return ENGLISH
    found = _WORD.findall(lowered)
    scores: dict[str, int] = {}
    for word in found:
        for code, weight in weights.get(word, {}).items():
            scores[code] = scores.get(code, 0) + weight
    best = max(scores, key=lambda code: scores[code], default="")
    known = sum(word in english for word in found)
    if best and scores[best] >= _ENOUGH and scores[best] > _SURE * known:
        sure = any(weights.get(word, {}).get(best) == _SURE for word in found)
        if sure or scores[best] * 5 >= 2 * len(found):
            return best
    return OTHER if _foreign_script(lowered) else ENGLISH


def _spaced(text: str) -> str:
    """The words without what mostly clings to them; a regular expression would take longer."""
    return text.replace(".", " ").replace(",", " ").replace("'", " ").replace(":", " ")


def _foreign_script(text: str) -> bool:
    """Whether most letters are of another script than Latin."""
    letters = [letter for letter in text if letter.isalpha()]
    others = sum(letter > "\u024f" for letter in letters)
    return others * 2 > len(letters)


def is_read(text: str, language: str) -> bool:
    """Whether a report is to be read where `language` is meant.

    Args:
        text: A report.
        language: "en", a code of `NAMES` (reports in it are read as well, by the rules of English),
            or "any".
    """
    return language == ANY or language_of(text) in (ENGLISH, language)


def check_language(language: str) -> None:
    """Refuses a language that is none.

    Raises:
        UsageError: It is not "en", "any" or a code of `NAMES`.
    """
    if language not in (ENGLISH, ANY, *NAMES):
        known = ", ".join((ENGLISH, ANY, *NAMES))
        raise UsageError(f"the language {language[:20]!r} is not known; known are {known}")


def left_out(languages: Iterable[str]) -> str:
    """What was not read, in words: "2 German, 1 French"; "" if nothing.

    Args:
        languages: Of each report that was left out.
    """
    counts: dict[str, int] = {}
    for code in languages:
        counts[code] = counts.get(code, 0) + 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {NAMES[code]}" for code, count in ordered)
