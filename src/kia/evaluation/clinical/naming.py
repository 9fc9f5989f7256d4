"""What a finding is called, and the sides and degrees that words name; from `findings.yaml`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from kia.knowledge.graphs.lexicon import role_of
from kia.knowledge.organs import BONES, LUNGS, organ_of
from kia.knowledge.phrases import load_yaml

LEXICON: Mapping[str, Any] = load_yaml("kia.evaluation.clinical", "findings.yaml")

DEGREES = ("slight", "moderate", "severe")
"""In their order: a step from one to the next."""

WITHOUT_SIDE = frozenset(LEXICON["no_side"])
"""Names whose side is not compared."""

_BOTH = frozenset({"left", "right"})
_SIDES = {
    word: sides
    for sides, words in (
        (frozenset({"left"}), "left leftward lll lul lingula lingular"),
        (frozenset({"right"}), "right rightward rll rul rml"),
        (_BOTH, "bilateral bilaterally both bibasilar bibasal biapical bihilar"),
    )
    for word in words.split()
}
_DEGREES = {
    word: DEGREES.index(name)
    for name, words in LEXICON["degrees"].items()
    for word in words.split()
}
_UNSPECIFIC = frozenset(LEXICON["unspecific"].split())


class Kind(NamedTuple):
    """What a finding is called, and what goes with the name.

    Attributes:
        name: As in `findings.yaml`, else its own word.
        organ: One of `kia.knowledge.organs.ORGANS`.
        grade: 1–3, how grave such a finding is.
        bound: Whether the name is of one organ; else its anatomy decides.
    """

    name: str
    organ: str
    grade: int
    bound: bool


@lru_cache(maxsize=1 << 14)
def named(words: tuple[str, ...], anatomy: tuple[str, ...] = ()) -> tuple[Kind, ...]:
    """What an observation is called: nothing if it is no finding, two names if it is two.

    Args:
        words: Lower-case texts of its entity and of the observations that narrow it.
        anatomy: Of its anatomy.
    """
    own = _forms(words)
    if "normal" in own:
        return ()
    around = _forms(anatomy)
    patterns, holding = _patterns()
    for place in sorted({place for word in own for place in holding.get(word, ())}):
        name, pattern = patterns[place]
        if all(own & word or around & word for word in pattern):
            return tuple(
                _kind(part, words, anatomy)
                for part in LEXICON["parts"].get(name, (name,))
                if LEXICON["findings"][part]["grade"]
            )
    head = min(_singulars(words[0].split()[-1]), key=len)
    if role_of(head) != "finding" or head in _UNSPECIFIC:
        return ()
    return (Kind(head, organ_of(" ".join(words[::-1]), anatomy), 1, False),)


def _kind(name: str, words: Sequence[str], anatomy: Sequence[str]) -> Kind:
    kind = LEXICON["findings"][name]
    organ = kind["organ"] or organ_of(" ".join(words[::-1]), anatomy)
    if organ == BONES and name in LEXICON["projected"]:
        organ = LUNGS
    return Kind(name, organ, kind["grade"], bool(kind["organ"]))


@lru_cache(maxsize=1 << 14)
def sides_of(text: str) -> frozenset[str]:
    """ "left", "right" or both, as the words of an entity say."""
    return frozenset(side for word in text.lower().split() for side in _SIDES.get(word, ()))


def degrees_of(words: Sequence[str]) -> frozenset[int]:
    """Indices of `DEGREES` that an observation has.

    Args:
        words: Its own, of which only "borderline" and the like count, not those of a "large"
            heart; then those that narrow it.
    """
    found = {_DEGREES[word] for word in _split(words[1:]) if word in _DEGREES}
    return frozenset(found | {0 for word in words[:1] if _DEGREES.get(word) == 0})


def only_degrees(words: Sequence[str]) -> frozenset[int]:
    """The degrees of words that say nothing else; empty if they do."""
    found = [_DEGREES.get(word) for word in _split(words)]
    return frozenset() if None in found else frozenset(d for d in found if d is not None)


_Pattern = tuple[str, list[frozenset[str]]]


@cache
def _patterns() -> tuple[list[_Pattern], dict[str, list[int]]]:
    """(name, words with alternatives) of every pattern; word → places of those that have it."""
    patterns = [
        (name, [frozenset(word.split("|")) for word in pattern.split()])
        for name, kind in LEXICON["findings"].items()
        for pattern in kind["words"]
    ]
    holding: dict[str, list[int]] = {}
    for place, (_, pattern) in enumerate(patterns):
        for word in frozenset().union(*pattern):
            holding.setdefault(word, []).append(place)
    return patterns, holding


def _split(texts: Iterable[str]) -> Iterator[str]:
    return (word for text in texts for word in text.split())


def _forms(texts: Iterable[str]) -> set[str]:
    return {form for word in _split(texts) for form in _singulars(word)}


@lru_cache(maxsize=1 << 14)
def _singulars(word: str) -> tuple[str, ...]:
    """A word, and what it may be the plural of."""
    endings = (("ies", "y"), ("es", ""), ("s", ""))
    return word, *(word.removesuffix(end) + new for end, new in endings if word.endswith(end))
