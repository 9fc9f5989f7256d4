"""The words of `words.yaml` and `cues.yaml`, and the roles they play in a sentence."""

import re
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from kia.knowledge.radgraph import token_spans

ANATOMY_ROLES = frozenset({"organ", "attribute", "part", "adjective", "side"})
OBSERVATION_ROLES = frozenset({"finding", "quantity", "modifier", "degree", "adverb"})
ENTITY_ROLES = ANATOMY_ROLES | OBSERVATION_ROLES

# Endings of words that the lexicon need not list.
_FINDING_ENDINGS = re.compile(
    r"(?:itis|osis|oma|omas|omata|ectasis|ectasia|ectomy|otomy|ostomy|plasty|megaly|opathy"
    r"|penia|stenosis|thorax|thoraces|emia|rrhage|oses|pexy)$"
)
_MODIFIER_ENDINGS = re.compile(r"(?:form|oid|ular|eous|ated|otic|itic|like|atous|atic)$")
_ORDINAL = re.compile(
    r"\d{1,2}(?:st|nd|rd|th)$"
    r"|(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth)$"
)
_NUMBER = re.compile(r"\d+(?:mm|cm)?$|mm$|cm$|x$")
_VERTEBRA = re.compile(r"[tlc]\d{1,2}$")
_MAX_HEADER = 3  # words
_MAX_WORD = 30  # characters; nothing longer is a word

Unit = tuple[int, int, str, str]
"""First token, last token (inclusive), role, lower-case words."""


def _load(name: str) -> dict[str, Any]:
    text = resources.files("kia.knowledge.graphs").joinpath(name).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    assert isinstance(content, dict)
    return content


_WORDS = _load("words.yaml")
_CUES = _load("cues.yaml")
_HEADERS = {
    line: skipped
    for key, skipped in (("read_header", False), ("skipped_header", True))
    for line in _CUES.pop(key).splitlines()
}


def word_set(name: str) -> frozenset[str]:
    """The words under one key of the lexicon, with their plurals."""
    words = _WORDS[name].split()
    return frozenset([*words, *(f"{word}s" for word in words)])


def _roles() -> tuple[dict[str, str], dict[str, list[tuple[tuple[str, ...], str]]]]:
    """Role of single words, and, by their first word, the phrases, longest first."""
    single: dict[str, str] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    entries = [(word, role) for role in ENTITY_ROLES for word in _WORDS[role].split()]
    entries += [(line, role) for role, text in _WORDS["phrases"].items() for line in lines(text)]
    entries += [(line, role) for role, text in _CUES.items() for line in lines(text)]
    for entry, role in entries:
        first, *rest = entry.split()
        if rest:
            phrases.setdefault(first, []).append((tuple(rest), role))
        else:
            single[first] = role
    for found in phrases.values():
        found.sort(key=lambda phrase: -len(phrase[0]))
    return single, phrases


def lines(text: str) -> list[str]:
    """Entries of a block of the lexicon, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


_SINGLE, _PHRASES = _roles()


@lru_cache(maxsize=1 << 16)
def role_of(word: str) -> str:
    """The role of a lower-case word; "other" if it has none."""
    role = _SINGLE.get(word)
    if role is not None:
        return role
    for ending, singular in (("ies", "y"), ("es", ""), ("s", "")):
        role = _SINGLE.get(word.removesuffix(ending) + singular) if word.endswith(ending) else None
        if role in ENTITY_ROLES and role not in ("modifier", "degree", "side"):
            return role
    if _FINDING_ENDINGS.search(word) and len(word) > 6:
        return "finding"
    if _ORDINAL.match(word):
        return "ordinal"
    if _NUMBER.match(word):
        return "transparent"
    if _VERTEBRA.match(word):
        return "organ"
    if _MODIFIER_ENDINGS.search(word) and len(word) > 6:
        return "maybe"
    return "other"


def sentences(text: str, tokens: list[str]) -> list[tuple[int, int]]:
    """First and last token (exclusive) of the sentences that are read.

    Sentences end at stops and blank lines. Headers ("FINDINGS:") are left out, and so are
    sections that say why and how the patient was examined, up to the next header.
    """
    spans = token_spans(text)
    found: list[tuple[int, int]] = []
    start, skipped = 0, False
    for position, token in enumerate(tokens):
        last = position + 1 == len(tokens)
        if token[0] == ":":
            header = _header(tokens, start, position)
            if header is not None:
                first, skips = header
                if first > start and not skipped:
                    found.append((start, first))
                start, skipped = position + 1, skips
                continue
        between = "" if last else text[spans[position][1] : spans[position + 1][0]]
        ends = _is_stop(token, between, tokens, position) or between.count("\n") > 1
        if ends or last:
            if not skipped and position >= start:
                found.append((start, position + 1))
            start = position + 1
    return found


def _header(tokens: list[str], start: int, colon: int) -> tuple[int, bool] | None:
    """First token of the header before a colon, and whether its section is skipped."""
    for first in range(max(start, colon - _MAX_HEADER), colon):
        words = tokens[first:colon]
        name = " ".join(words).lower()
        if name in _HEADERS and (first == start or all(word.isupper() for word in words)):
            return first, _HEADERS[name]
    return None


def _is_stop(token: str, between: str, tokens: list[str], position: int) -> bool:
    if token.isalnum() or not any(mark in token for mark in ".!?;"):
        return False
    decimal = token == "." and not between and position > 0 and tokens[position - 1][-1].isdigit()
    if decimal and position + 1 < len(tokens) and tokens[position + 1][0].isdigit():
        return False
    return not (token == "." and position > 0 and tokens[position - 1].lower() in ("vs", "dr"))


def units(words: list[str], start: int, stop: int) -> list[Unit]:
    """The roles of a sentence's words, several tokens at once where they are one phrase.

    Args:
        words: The lower-case tokens of the report.
        start: First token of the sentence.
        stop: Its last one, exclusive.
    """
    found: list[Unit] = []
    position = start
    while position < stop:
        word = words[position]
        end, role = position + 1, ""
        for rest, phrase_role in _PHRASES.get(word, ()):
            after = position + 1 + len(rest)
            if after <= stop and tuple(words[position + 1 : after]) == rest:
                end, role = after, phrase_role
                word = " ".join(words[position:after])
                break
        if not role:
            role = role_of(word) if len(word) <= _MAX_WORD else "other"
        if word == "." and end < stop:  # of a decimal: no sentence ends here
            role = "transparent"
        found.append((position, end - 1, role, word))
        position = end
    return _settle(found)


def _settle(found: list[Unit]) -> list[Unit]:
    """Decides the roles that depend on the neighbours: ordinals, and unknown adjectives."""
    for index, (first, last, role, word) in enumerate(found):
        if word == "lower" and index and found[index - 1][2] == "is":  # "volumes are lower"
            after = found[index + 1][2] if index + 1 < len(found) else ""
            found[index] = (first, last, "side" if after in ANATOMY_ROLES else "modifier", word)
        if role not in ("ordinal", "maybe"):
            continue
        following = next((u[2] for u in found[index + 1 : index + 4] if u[2] != "ordinal"), "")
        if role == "ordinal":
            near = found[index + 1 : index + 8]
            settled = "side" if any(u[3].startswith(("rib", "intercostal")) for u in near) else ""
        else:
            settled = "modifier" if following in OBSERVATION_ROLES else ""
        found[index] = (first, last, settled or "other", word)
    return found
