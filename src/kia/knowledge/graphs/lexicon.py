"""The words of `words.yaml` and `cues.yaml`, and the roles they play in a sentence."""

import re
from functools import lru_cache

from kia.knowledge.phrases import PhraseTree, Term, folded, load_yaml
from kia.knowledge.radgraph import token_spans
from kia.knowledge.scope import RESOLUTION, scope_phrases
from kia.knowledge.statements import statements

ANATOMY_ROLES = frozenset({"organ", "attribute", "part", "adjective", "side"})
OBSERVATION_ROLES = frozenset({"finding", "quantity", "modifier", "degree", "adverb"})
ENTITY_ROLES = ANATOMY_ROLES | OBSERVATION_ROLES
CERTAINTY = frozenset(
    {"negation", "denied", "either", "no_longer", "hedge", "hedged", "hedged_either"}
)
"""Roles of cues that deny or hedge."""

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


_WORDS = load_yaml("kia.knowledge.graphs", "words.yaml")
_CUES = load_yaml("kia.knowledge.graphs", "cues.yaml")
_HEADERS = {
    line: skipped
    for key, skipped in (("read_header", False), ("skipped_header", True))
    for line in _CUES.pop(key).splitlines()
}


def word_set(name: str) -> frozenset[str]:
    """The words under one key of the lexicon, with their plurals."""
    words = _WORDS[name].split()
    return frozenset([*words, *(f"{word}s" for word in words)])


CHANGE_NOUNS = word_set("change_noun")


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
    """First and last token (exclusive) of the statements that are read.

    Headers ("FINDINGS:") are left out, and so are sections that say why and how the patient was
    examined, up to the next header.
    """
    spans = token_spans(text)
    found: list[tuple[int, int]] = []
    cuts = iter([*statements(text), (len(text), len(text))])
    begin, end = next(cuts)
    start, skipped = 0, False
    for position, token in enumerate(tokens):
        place = spans[position][0]
        if place >= end:
            if position > start and not skipped:
                found.append((start, position))
            while place >= end:
                begin, end = next(cuts, (len(text), len(text) + 1))
            start = position
        if place < begin:  # of a mark between statements
            start = position + 1
        elif token[0] == ":" and (header := _header(tokens, start, position)) is not None:
            first, skips = header
            if first > start and not skipped:
                found.append((start, first))
            start, skipped = position + 1, skips
    if start < len(tokens) and not skipped:
        found.append((start, len(tokens)))
    return found


def _header(tokens: list[str], start: int, colon: int) -> tuple[int, bool] | None:
    """First token of the header before a colon, and whether its section is skipped."""
    for first in range(max(start, colon - _MAX_HEADER), colon):
        words = tokens[first:colon]
        name = " ".join(words).lower()
        if name in _HEADERS and (first == start or all(word.isupper() for word in words)):
            return first, _HEADERS[name]
    return None


_RESOLVED = RESOLUTION | {"resolved", "cleared"}
_FREE = ("persists", "unfinished")  # may hold words that are entities
_ROLE_OF_CUE = {
    "negation_before": "negation",
    "negation_after": "denied",
    "negation_either": "either",
    "uncertainty_before": "hedge",
    "uncertainty_either": "hedged_either",
    "uncertainty_after": "hedged",
}


def _scope_tree() -> PhraseTree:
    """The cues that labels and graphs share, by their roles here."""
    tree = PhraseTree()
    for role, phrases in scope_phrases().items():
        for words in phrases:
            if role != "opening" and (role in _FREE or not _names_entity(words)):
                tree.enter(words, Term(_ROLE_OF_CUE.get(role, role), None))
    for mark in ("", ".", ",", ";", ":"):
        tree.enter([f"(-){mark}"], Term("denied", None))
        tree.enter([f"(+){mark}"], Term("affirmed", None))
    return tree


def _names_entity(words: list[str]) -> bool:
    """Whether a cue holds a word that is an entity here ("no definite finding of"): it is read as
    words then. Resolution is no entity."""
    roles = ENTITY_ROLES - {"degree", "adverb"}
    named = any(role_of(word) in roles and word not in ("low", "lower") for word in words)
    return named and _RESOLVED.isdisjoint(words)


_SCOPE = _scope_tree()


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
        phrases, role, starts_cue = _known(word)
        end = position + 1
        for rest, phrase_role in phrases:
            after = position + 1 + len(rest)
            if after <= stop and tuple(words[position + 1 : after]) == rest:
                end, role = after, phrase_role
                break
        cue = _SCOPE.longest(words, position, stop) if starts_cue else None
        if cue is not None and (cue[1] > end or (cue[1] == end and role == "other")):
            end, role = cue[1], cue[0].role
            if role == "persists":
                found += _still_there(words, position, end)
                position = end
                continue
        if end > position + 1:
            word = " ".join(words[position:end])
        elif word == "." and end < stop:  # of a decimal: no sentence ends here
            role = "transparent"
        found.append((position, end - 1, role, word))
        position = end
    return _settle(found)


@lru_cache(maxsize=1 << 16)
def _known(word: str) -> tuple[list[tuple[tuple[str, ...], str]], str, bool]:
    """Phrases that begin with a word, its own role, and whether a shared cue begins with it."""
    role = role_of(word) if len(word) <= _MAX_WORD else "other"
    return _PHRASES.get(word, []), role, _SCOPE.has_first(folded(word))


def _still_there(words: list[str], start: int, end: int) -> list[Unit]:
    """The words of "no resolution of", "partial clearing of" …: entities, but no denial."""
    changes = not CHANGE_NOUNS.isdisjoint(words[start:end])
    found = []
    for position in range(start, end):
        role = role_of(words[position])
        if role in CERTAINTY and not (changes and words[position] in ("no", "without")):
            role = "other"  # "no clearing of the edema" denies the clearing alone
        found.append((position, position, role, words[position]))
    return found


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
