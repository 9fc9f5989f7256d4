"""What a report claims: its findings with side, degree and certainty, read from a graph.

The words are in `findings.yaml`. What no name there fits is called by its own word, if the
lexicon of the extractor knows it as a finding.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

from kia.knowledge.graphs.lexicon import role_of
from kia.knowledge.organs import organ_of
from kia.knowledge.phrases import load_yaml
from kia.knowledge.radgraph import Entity, ReportGraph

LEXICON: Mapping[str, Any] = load_yaml("kia.evaluation.clinical", "findings.yaml")

DEGREES = ("slight", "moderate", "severe")
"""In their order: a step from one to the next."""

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
_CENTRAL = frozenset(
    {"atrium", "atria", "atrial", "ventricle", "ventricular", "heart", "svc", "artery"}
)
"""Anatomy whose side is none of the body's: "leads in the right atrium"."""

_UNSPECIFIC = frozenset(LEXICON["unspecific"].split())
_NO_SIDE = frozenset(LEXICON["no_side"])
_DEGREES = {
    word: DEGREES.index(name)
    for name, words in LEXICON["degrees"].items()
    for word in words.split()
}
_NONE: frozenset[Any] = frozenset()


class Mention(NamedTuple):
    """One place of a report where a finding is said.

    Attributes:
        sides: Of "left" and "right"; empty if none is named.
        degrees: Indices of `DEGREES`; empty if none is named.
        spans: First and last token (inclusive) of the entities that say it.
    """

    sides: frozenset[str]
    degrees: frozenset[int]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Claim:
    """A finding of a report.

    Attributes:
        name: As in `findings.yaml`, else its own word.
        organ: One of `kia.knowledge.organs.ORGANS`.
        grade: 1–3, how grave such a finding is.
        certain: False if it is only said to be possible.
        mentions: Where it is said.
        suggests: Names of findings that it is said to be, or to come from.
    """

    name: str
    organ: str
    grade: int
    certain: bool
    mentions: tuple[Mention, ...]
    suggests: frozenset[str] = field(default=_NONE)

    @property
    def sides(self) -> frozenset[str]:
        """All its sides; of none that are named, none."""
        return _NONE.union(*(mention.sides for mention in self.mentions))

    def degrees(self, side: str | None) -> frozenset[int]:
        """Its degrees on a side, or on all; a mention without side counts for both."""
        heard = (m for m in self.mentions if side is None or not m.sides or side in m.sides)
        return _NONE.union(*(mention.degrees for mention in heard))


def read_claims(graph: ReportGraph) -> dict[str, Claim]:
    """Name → claim of the findings that a report has as present or possible.

    Args:
        graph: Of kia's extractor, or of RadGraph's model.
    """
    return _Reader(graph).claims()


class _Reader:
    """Reads the observations of one graph."""

    def __init__(self, graph: ReportGraph) -> None:
        self._entities = graph.entities
        self._narrowing: dict[str, list[str]] = defaultdict(list)
        for key, entity in graph.entities.items():
            for relation, target in entity.relations:
                if relation == "modify":
                    self._narrowing[target].append(key)

    def claims(self) -> dict[str, Claim]:
        found: dict[str, Claim] = {}
        names: dict[str, tuple[str, ...]] = {}
        for key, entity in self._entities.items():
            if entity.label in ("OBS-DP", "OBS-U") and not self._narrows(entity):
                names[key] = self._enter(key, entity, found)
        for key, own in names.items():
            said = (
                name
                for relation, target in self._entities[key].relations
                if relation == "suggestive_of"
                for name in names.get(target, ())
            )
            suggested = frozenset(said)
            for name in own:
                found[name] = replace(found[name], suggests=found[name].suggests | suggested)
        return found

    def _narrows(self, entity: Entity) -> bool:
        """Whether an observation only says more of another one."""
        return any(
            relation == "modify" and self._entities[target].label != "ANAT-DP"
            for relation, target in entity.relations
        )

    def _enter(self, key: str, entity: Entity, found: dict[str, Claim]) -> tuple[str, ...]:
        """Adds the claims of an observation; returns their names."""
        keys = self._closure([key], observations=True)
        places = [
            target
            for source in keys
            for relation, target in self._entities[source].relations
            if self._entities[target].label == "ANAT-DP"
        ]
        around = self._closure([*places, *self._anatomy(keys)], observations=False)
        words = tuple(self._entities[k].tokens.lower() for k in keys)
        anatomy = tuple(self._entities[k].tokens.lower() for k in around)
        kind = named(words, anatomy)
        if kind is None:
            return ()
        mention = Mention(
            _NONE if kind[0] in _NO_SIDE else self._sides([*keys, *around]),
            frozenset(_DEGREES[w] for text in words for w in text.split() if w in _DEGREES)
            - (frozenset({2}) if words[0] == "large" else _NONE),
            tuple((self._entities[k].start_ix, self._entities[k].end_ix) for k in sorted(keys)),
        )
        names = tuple(LEXICON["parts"].get(kind[0], kind[:1]))
        for name in names:
            grade = LEXICON["findings"].get(name, {}).get("grade", kind[2])
            claim = Claim(name, kind[1], grade, entity.label == "OBS-DP", (mention,))
            found[name] = _joined(found[name], claim) if name in found else claim
        return names

    def _closure(self, keys: Iterable[str], observations: bool) -> list[str]:
        """Entities and those of one kind that narrow them, and those that narrow these."""
        found: dict[str, None] = dict.fromkeys(keys)
        queue = list(found)
        while queue:
            for source in self._narrowing[queue.pop()]:
                is_observation = self._entities[source].label != "ANAT-DP"
                if is_observation == observations and source not in found:
                    found[source] = None
                    queue.append(source)
        return list(found)

    def _anatomy(self, keys: Iterable[str]) -> list[str]:
        """Anatomy that narrows observations: "left" of "left effusion"."""
        sources = (source for key in keys for source in self._narrowing[key])
        return [source for source in sources if self._entities[source].label == "ANAT-DP"]

    def _sides(self, keys: Iterable[str]) -> frozenset[str]:
        sides: frozenset[str] = _NONE
        for key in keys:
            entity = self._entities[key]
            targets = (self._entities[target].tokens.lower() for _, target in entity.relations)
            if any(word in _CENTRAL for text in targets for word in text.split()):
                continue
            for word in entity.tokens.lower().split():
                sides |= _SIDES.get(word, _NONE)
        return sides


def _joined(one: Claim, more: Claim) -> Claim:
    """A finding that is said twice."""
    return replace(
        one, certain=one.certain or more.certain, mentions=(*one.mentions, *more.mentions)
    )


@lru_cache(maxsize=1 << 14)
def named(words: tuple[str, ...], anatomy: tuple[str, ...] = ()) -> tuple[str, str, int] | None:
    """Name, organ and grade of a finding; None if it is none.

    Args:
        words: Lower-case texts of its entity and of the observations that narrow it.
        anatomy: Of its anatomy.
    """
    own = _forms(words)
    if "normal" in own:
        return None
    around = _forms(anatomy)
    for name, pattern in _patterns():
        held = all(own & word or around & word for word in pattern)
        if held and any(own & word for word in pattern):
            kind = LEXICON["findings"][name]
            organ = kind["organ"] or organ_of(" ".join(words[::-1]), anatomy)
            return (name, organ, kind["grade"]) if kind["grade"] else None
    head = min(_singular(words[0].split()[-1]), key=len)
    if role_of(head) != "finding" or head in _UNSPECIFIC:
        return None
    return head, organ_of(" ".join(words[::-1]), anatomy), 1


@cache
def _patterns() -> list[tuple[str, list[frozenset[str]]]]:
    """(name, words with their alternatives) of every pattern, in order."""
    return [
        (name, [frozenset(word.split("|")) for word in pattern.split()])
        for name, kind in LEXICON["findings"].items()
        for pattern in kind["words"]
    ]


def _forms(texts: Iterable[str]) -> set[str]:
    return {form for text in texts for word in text.split() for form in _singular(word)}


def _singular(word: str) -> tuple[str, ...]:
    """A word, and what it may be the plural of."""
    endings = (("ies", "y"), ("es", ""), ("s", ""))
    return word, *(word.removesuffix(end) + new for end, new in endings if word.endswith(end))
