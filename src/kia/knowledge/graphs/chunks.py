"""Phrases of a sentence: runs of entity words, with their heads and what narrows these."""

from dataclasses import dataclass, field

from kia.knowledge.graphs.lexicon import ANATOMY_ROLES, ENTITY_ROLES, Unit, word_set
from kia.knowledge.scope import Joint

_NORMAL = word_set("normal")
CHANGE = word_set("change")
ASPECTS = word_set("aspect")
MAX_RUN = 24  # words of a phrase; keeps the time linear in the length of a sentence
_NEEDS_HEAD = frozenset({"prior", "previous", "interval", "one", "two", "three", "few", "first"})


@dataclass(slots=True)
class Place:
    """Anatomy within a phrase: its head and the units that narrow it."""

    head: Unit
    narrowing: list[Unit]


@dataclass(slots=True, eq=False)
class Chunk:
    """A phrase.

    Attributes:
        units: Its entity words.
        heads: The observations that it is about; empty if it is anatomy alone.
        bearers: Of these, or of what they narrow, those that sit at the phrase's own anatomy.
        modifies: (observation, the one it narrows) within the phrase.
        places: Its anatomy.
        kind: "finding", "state" (a predicate such as "clear") or "anatomy".
        placed: Whether a place outside the phrase was found for them.
        label: Of its observations, set when it is read.
        joint: How it is joined to the phrase before it, for what a cue behind them governs.
    """

    units: list[Unit]
    heads: list[Unit] = field(default_factory=list)
    bearers: list[Unit] = field(default_factory=list)
    modifies: list[tuple[Unit, Unit]] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    kind: str = "anatomy"
    placed: bool = False
    label: str = "OBS-DP"
    joint: Joint = ""

    @property
    def only(self) -> str:
        """The role that all its words share, or ""."""
        roles = {unit[2] for unit in self.units}
        return roles.pop() if len(roles) == 1 else ""

    @property
    def owns_aspect(self) -> bool:
        """Whether its head stands alone: "tip", but not "catheter tip"."""
        return self.bearers == self.heads

    @property
    def only_measures(self) -> bool:
        """Whether its anatomy is size, position and the like alone, and it is no finding."""
        attributes = all(place.head[2] == "attribute" for place in self.places)
        return self.kind != "finding" and bool(self.places) and attributes

    @property
    def only_narrows(self) -> bool:
        """Whether its anatomy names no body part: "of normal size", "clear bilaterally"."""
        return all(place.head[2] in ("attribute", "side") for place in self.places)


@dataclass(slots=True)
class Cue:
    """A word or phrase between chunks."""

    role: str
    unit: Unit


Item = Chunk | Cue


def is_normal(unit: Unit) -> bool:
    """Whether a predicate says that nothing is wrong: "clear", "within normal limits"."""
    return unit[3] in _NORMAL or "normal" in unit[3].split()


def items(found: list[Unit]) -> list[Item]:
    """The chunks and cues of a sentence, in order; words of no role become cues "other"."""
    result: list[Item] = []
    run: list[Unit] = []
    for unit in found:
        role = unit[2]
        if role in ENTITY_ROLES:
            if len(run) == MAX_RUN:
                _close(run, result)
                run = []
            run.append(unit)
        elif role == "transparent" and run:
            continue
        else:
            _close(run, result)
            run = []
            if role not in ("article", "transparent") or unit[3] == "xxxx":
                result.append(Cue(role, unit))
    _close(run, result)
    return result


def _close(run: list[Unit], result: list[Item]) -> None:
    if run and not all(unit[3] in _NEEDS_HEAD for unit in run):
        result.append(build(run))


def build(run: list[Unit]) -> Chunk:
    """The chunk of a run of entity words."""
    chunk = Chunk(run)
    chunk.places = _places(run)
    observed = [unit for unit in run if unit[2] not in ANATOMY_ROLES]
    if not observed:
        return chunk
    findings = [unit for unit in observed if unit[2] in ("finding", "quantity")]
    if findings:
        chunk.kind = "finding"
        head = findings[-1]
        chunk.heads = [head]
        if head[3] in ASPECTS and len(findings) > 1:  # "catheter tip": the tip is the catheter's
            head = findings[-2]
            chunk.modifies.append((chunk.heads[0], head))
        chunk.bearers = [head]
        for index, unit in enumerate(observed):
            if unit is not head and unit not in chunk.heads:
                chunk.modifies.append((unit, _narrowed(unit, observed, index, head)))
        return chunk
    chunk.kind = "state"
    last = observed[-1]
    for index, unit in enumerate(observed):
        if unit is last or unit[2] == "modifier":
            chunk.heads.append(unit)
        else:
            chunk.modifies.append((unit, _narrowed(unit, observed, index, last)))
    return chunk


def _narrowed(unit: Unit, observed: list[Unit], index: int, head: Unit) -> Unit:
    """What an observation's word narrows: an adverb the next word, a degree the predicate."""
    following = observed[index + 1] if index + 1 < len(observed) else head
    if unit[2] == "adverb":
        return following
    if unit[2] == "degree" and head[2] not in ("finding", "quantity"):
        return next((u for u in observed[index + 1 :] if u[2] == "modifier"), head)
    return head


def _places(run: list[Unit]) -> list[Place]:
    places: list[Place] = []
    group: list[Unit] = []
    for unit in run:
        role = unit[2]
        if role not in ANATOMY_ROLES:
            if role in ("finding", "quantity") and group:
                places.append(_place(group))
                group = []
            continue
        if group and group[-1][2] == "attribute" and role in ("organ", "adjective"):
            places.append(_place(group))
            group = []
        group.append(unit)
    if group:
        places.append(_place(group))
    return places


def _place(group: list[Unit]) -> Place:
    for roles in (("organ", "adjective"), ("part", "attribute"), ("side",)):
        heads = [unit for unit in group if unit[2] in roles]
        if heads:
            break
    return Place(heads[-1], [unit for unit in group if unit is not heads[-1]])
