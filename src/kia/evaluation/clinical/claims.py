"""What a report claims: its findings with side, degree and certainty, read from a graph."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kia.evaluation.clinical.naming import (
    WITHOUT_SIDE,
    Kind,
    degrees_of,
    named,
    only_degrees,
    sides_of,
)
from kia.knowledge.radgraph import Entity, ReportGraph

Key = tuple[str, str]
"""Name and organ: a mass of the lung is not one of the mediastinum."""

Span = tuple[int, int]
"""First and last token (inclusive)."""

_CENTRAL = frozenset(
    {"atrium", "atria", "atrial", "ventricle", "ventricular", "heart", "svc", "artery"}
)
"""Anatomy whose side is none of the body's: "leads in the right atrium"."""

_NEAR_TOKENS = 4


class Mention(NamedTuple):
    """One place of a report where a finding is said.

    Attributes:
        sides: Of "left" and "right"; empty if none is named.
        degrees: Indices of `kia.evaluation.clinical.naming.DEGREES`; empty if none is named.
        spans: Of the entities that say it.
    """

    sides: frozenset[str]
    degrees: frozenset[int]
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Claim:
    """A finding of a report.

    Attributes:
        kind: What it is called, its organ and its grade.
        certain: False if it is only said to be possible.
        mentions: Where it is said.
        suggests: Findings that it is said to be, or to come from.
        on_its_own: Whether some mention is none that another finding suggests.
    """

    kind: Kind
    certain: bool
    mentions: tuple[Mention, ...]
    suggests: frozenset[Key] = field(default=frozenset())
    on_its_own: bool = True

    @property
    def key(self) -> Key:
        """What tells it from others of the report."""
        return self.kind.name, self.kind.organ

    @property
    def sides(self) -> frozenset[str]:
        """All its sides; none if none is named, or such a finding has none."""
        if self.kind.name in WITHOUT_SIDE:
            return frozenset()
        return frozenset(side for mention in self.mentions for side in mention.sides)

    def degrees(self, side: str | None) -> frozenset[int]:
        """Its degrees on a side, or on all; a mention without side counts for both."""
        heard = (m for m in self.mentions if side is None or not m.sides or side in m.sides)
        return frozenset(degree for mention in heard for degree in mention.degrees)


class Reading(NamedTuple):
    """What a report says.

    Attributes:
        claims: The findings that it has as present or possible.
        denied: The findings that it denies → where.
    """

    claims: Mapping[Key, Claim]
    denied: Mapping[Key, tuple[Span, ...]]


def read_claims(graph: ReportGraph) -> Reading:
    """Reads the findings of a report.

    Args:
        graph: Of kia's extractor, or of RadGraph's model.
    """
    return _Reader(graph).read()


class _Reader:
    """Reads the observations of one graph."""

    def __init__(self, graph: ReportGraph) -> None:
        self._entities = graph.entities
        self._claims: dict[Key, Claim] = {}
        self._ahead: list[Mention] = []  # "large left" of "large left and small right effusions"
        self._narrowing: dict[str, list[str]] = defaultdict(list)
        for key, entity in graph.entities.items():
            for relation, target in entity.relations:
                if relation == "modify":
                    self._narrowing[target].append(key)

    def read(self) -> Reading:
        suggested = {
            target
            for entity in self._entities.values()
            for relation, target in entity.relations
            if relation == "suggestive_of"
        }
        denied: dict[Key, tuple[Span, ...]] = {}
        found: dict[str, list[Key]] = {}
        for key, entity in self._entities.items():
            if entity.label == "ANAT-DP" or self._narrows(entity):
                continue
            kinds, mention = self._observation(key)
            if entity.label == "OBS-DA":
                spans = {(kind.name, kind.organ): mention.spans for kind in kinds}
                denied |= {name: (*denied.get(name, ()), *spans[name]) for name in spans}
                continue
            mentions = (*self._just_ahead(kinds, mention), mention)
            new = [Claim(k, entity.label == "OBS-DP", mentions) for k in kinds]
            for claim in new:
                self._add(replace(claim, on_its_own=key not in suggested))
            found[key] = [claim.key for claim in new]
        self._connect(found)
        return Reading(self._claims, denied)

    def _observation(self, key: str) -> tuple[tuple[Kind, ...], Mention]:
        """What an observation is called, and its side and degree."""
        keys = self._closure([key], observations=True)
        around = self._closure([*self._places(keys), *self._anatomy(keys)], observations=False)
        words, anatomy = self._words(keys), self._words(around)
        entities = [self._entities[key] for key in keys]
        spans = tuple(sorted((entity.start_ix, entity.end_ix) for entity in entities))
        kinds = named(words, anatomy)
        degrees = degrees_of(words) if kinds else only_degrees(words)
        return kinds, Mention(self._sides([*keys, *around]), degrees, spans)

    def _add(self, claim: Claim) -> None:
        if before := self._claims.get(claim.key):
            claim = replace(
                claim,
                certain=before.certain or claim.certain,
                mentions=(*before.mentions, *claim.mentions),
                on_its_own=before.on_its_own or claim.on_its_own,
            )
        self._claims[claim.key] = claim

    def _connect(self, found: Mapping[str, list[Key]]) -> None:
        """Says of each claim what it suggests."""
        for key, own in found.items():
            targets = [t for r, t in self._entities[key].relations if r == "suggestive_of"]
            said = frozenset(name for target in targets for name in found.get(target, ()))
            for name in own:
                claim = self._claims[name]
                suggests = claim.suggests | said - {name}
                self._claims[name] = replace(claim, suggests=suggests)

    def _narrows(self, entity: Entity) -> bool:
        """Whether an observation only says more of another one."""
        return any(
            relation == "modify" and self._entities[target].label != "ANAT-DP"
            for relation, target in entity.relations
        )

    def _just_ahead(self, kinds: tuple[Kind, ...], mention: Mention) -> list[Mention]:
        """Degrees of another side that stand right before a finding."""
        if not kinds:
            if mention.sides and mention.degrees:
                self._ahead.append(mention)
            return []
        first = mention.spans[0][0]
        ahead = [one for one in self._ahead if 0 <= first - one.spans[-1][1] <= _NEAR_TOKENS]
        self._ahead = []
        return ahead

    def _words(self, keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._entities[key].tokens.lower() for key in keys)

    def _places(self, keys: Iterable[str]) -> list[str]:
        """Anatomy to which observations relate."""
        targets = (target for key in keys for _, target in self._entities[key].relations)
        return [target for target in targets if self._entities[target].label == "ANAT-DP"]

    def _anatomy(self, keys: Iterable[str]) -> list[str]:
        """Anatomy that narrows observations: "left" of "left effusion"."""
        sources = (source for key in keys for source in self._narrowing[key])
        return [source for source in sources if self._entities[source].label == "ANAT-DP"]

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

    def _sides(self, keys: Iterable[str]) -> frozenset[str]:
        sides: set[str] = set()
        for key in keys:
            entity = self._entities[key]
            targets = (self._entities[target].tokens.lower() for _, target in entity.relations)
            if not any(word in _CENTRAL for text in targets for word in text.split()):
                sides |= sides_of(entity.tokens)
        return frozenset(sides)
