"""What a clause speaks of and how certainly, as the cues between its phrases set it."""

from collections.abc import Iterable

from kia.knowledge.graphs.chunks import Chunk, Cue, Item
from kia.knowledge.graphs.lexicon import ANATOMY_ROLES, CERTAINTY, Unit
from kia.knowledge.scope import RESOLUTION, joint, reach_back, single_words, wants_plural

EXPLAINING_HEDGES = frozenset(
    {"likely", "probably", "possibly", "presumably", "perhaps", "favored", "may", "might", "could"}
)

CONJUNCTIONS = frozenset({"and", "or", "/", "&", "plus", "as well as", "versus", "vs"})
SAYING = frozenset({"is", "has", "hedged", "denied"})
PARTING = frozenset({"is", "has", "cue", "turn", "there"})
OPENING = single_words("opening")
EITHER_HEDGES = single_words("uncertainty_either")

MAX_LIST = 12
"""Members of a list that relations reach; keeps the time linear in the length of a sentence."""


class Clause:
    """The state of reading: relations found so far, certainty, topic and the list at hand.

    Attributes:
        relations: Source entity → (relation, target entity).
        links: Roles of the cues since the last phrase.
        between: These, and the words that join, since the last phrase.
        asserted: Whether "there is" stands before the clause's observations.
        resolving: Whether the last denial was a resolution.
        answer_to: The last cue that spoke of what stands before it; "?" may be answered.
        verb: Whether a verb stands between the last cue of certainty and here.
        polarity: Label that the next observation gets.
        topic: What the clause speaks of: all anatomy, or all observations.
        recent: The observations that a place or a denial would refer to.
        states: What was last said of anatomy that is the topic.
        list: Role of the list that a join would go on with.
        last: The last phrase.
    """

    def __init__(self) -> None:
        self.relations: dict[Unit, list[tuple[str, Unit]]] = {}
        self.links: set[str] = set()
        self.between: set[str] = set()
        self.verb = False
        self.asserted = False
        self.resolving = False
        self.answer_to = ""
        self.polarity = "OBS-DP"
        self.topic: list[Chunk] = []
        self.recent: list[Chunk] = []
        self.states: list[Unit] = []
        self.list = ""
        self.last: Chunk | None = None

    def hear(self, cue: Cue, found: list[Item], index: int) -> None:
        """Takes in a cue, the one at `index` of the sentence."""
        role = cue.role
        self.links.add(role)
        self.between.add(role)
        if role == "join" or role == "versus":
            self.between.add(cue.unit[3])
            if cue.unit[3] == "," and self._denied_before() and not _list_goes_on(found, index):
                self.polarity = "OBS-DP"  # "no effusion is seen, cardiomegaly"
        self.verb = self.verb or role in ("is", "has")
        if cue.unit[3] in ("and", "or", "but"):
            self.links.add("linked")
        elif cue.unit[3] in EXPLAINING_HEDGES:
            self.links.add("explains")
        if role in CERTAINTY:
            self._certainty(cue, found, index)
        elif role == "affirmed" and self.answer_to.startswith("?"):
            for chunk in self.recent[-1:]:
                chunk.label = "OBS-DP"
        elif role == "unfinished" and self.resolving:
            for chunk in self.recent:
                chunk.label = "OBS-DP"
        elif role == "suggests_hedged":
            if self.polarity != "OBS-DA":
                self.polarity = "OBS-U"
        elif role == "turn":
            self.polarity, self.asserted = "OBS-DP", False
        elif role == "there":
            self.asserted = True
            self.polarity = "OBS-U" if "may" in cue.unit[3] else "OBS-DP"
            self.topic, self.recent, self.states = [], [], []
            self.list = ""
        elif role == "along_with" and self.last is not None:
            self.polarity = "OBS-DP"
        elif cue.unit[3] == "of" and self.last is not None and self.last is found[index - 1]:
            if self.last.kind == "state" and self.last.heads[-1][3] == "clear":
                self.polarity, self.verb = "OBS-DA", False  # "clear of infiltrates"
                self.links.add("negation")
        elif role == "versus" or (role == "join" and cue.unit[3] == "or"):
            self._alternatives(found, index)

    def _certainty(self, cue: Cue, found: list[Item], index: int) -> None:
        """A cue of certainty: does it reach forward, or is it said of what stands before?"""
        role = cue.role
        following = found[index + 1] if index + 1 < len(found) else None
        behind = bool(self.recent)
        if role in ("denied", "hedged") and not behind and not _is_chunk_or_verb(following):
            return
        if role == "negation" or (role == "hedge" and cue.unit[3] in EITHER_HEDGES):
            behind = behind and _nothing_follows(following)
        elif role == "hedge":
            behind = False
        elif role == "either":
            behind = behind and not (
                isinstance(following, Chunk)
                and self.between.isdisjoint({"is", "has", ","})
                and found[index - 1] is not self.last
            )
        elif role in ("no_longer", "hedged"):
            behind = behind and not isinstance(following, Chunk)
        elif role == "hedged_either":
            until_comma = not SAYING.isdisjoint(self.between)
            behind = behind and not _chunk_follows(found, index, until_comma)
        label = "OBS-U" if role in ("hedge", "hedged", "hedged_either") else "OBS-DA"
        if behind and not self._withdrawn(cue, found, index):
            self._relabel(label, self._governed(cue, found[index - 1]), anew=True)
            self.polarity, self.answer_to = "OBS-DP", cue.unit[3]
        elif not behind:
            if role == "hedged":  # "is likely atelectasis"
                self.links |= {"hedge", "explains"}
            if label == "OBS-DA" or self.polarity != "OBS-DA":
                self.polarity = label
            self.resolving = not RESOLUTION.isdisjoint(cue.unit[3].split())
            self.verb = False
            self.between.add("cue")

    def _denied_before(self) -> bool:
        """Whether a denial and its verb are complete: "no effusion is seen, cardiomegaly"."""
        return self.verb and self.polarity == "OBS-DA"

    def _withdrawn(self, cue: Cue, found: list[Item], index: int) -> bool:
        """Whether a cue behind says nothing of this image: "has not", "not seen on the prior"."""
        before = found[index - 1] if index else None
        has = isinstance(before, Cue) and before.unit[3] in ("has", "have", "had")
        if cue.role == "denied":
            return _of_another_image(found, index)
        return has and cue.unit[3] == "not"

    def _governed(self, cue: Cue, before: Item) -> list[Chunk]:
        heads = self.recent[-1].heads
        verbs = [item.unit[3].split()[0] for item in (before, cue) if isinstance(item, Cue)]
        plural = bool(heads) and any(wants_plural(verb, heads[-1][3]) for verb in verbs)
        count = reach_back([chunk.joint for chunk in self.recent], plural)
        return self.recent[len(self.recent) - count :]

    def join(self, chunk: Chunk) -> None:
        """Notes how a chunk is joined to the one before it."""
        between = self.between
        if PARTING.isdisjoint(between):
            chunk.joint = joint("," in between, not CONJUNCTIONS.isdisjoint(between))
            if self.asserted and chunk.joint in ("and", "comma and"):
                chunk.joint = ""  # "There is edema and effusion is not seen"
        between.clear()

    def opens(self, chunk: Chunk, found: list[Item], index: int) -> bool:
        """Whether a phrase after a comma is a new statement: "no edema, small effusion"."""
        if self.last is None or self.last.kind != "finding" or chunk.kind != "finding":
            return False
        first = chunk.units[0]
        joins = "," in self.between or (
            "and" in self.between and self.polarity == "OBS-DA" and first[2] != "side"
        )
        joins = joins and not self.between & {"or", "/"}
        return joins and first[3] in OPENING and not _list_goes_on(found, index)

    def _alternatives(self, found: list[Item], index: int) -> None:
        """Of alternatives under no negation each is uncertain."""
        if self.polarity == "OBS-DA" or self.last is None or self.last.kind != "finding":
            return
        following = next((i for i in found[index + 1 : index + 4] if isinstance(i, Chunk)), None)
        if following is not None and following.kind == "finding":
            self._relabel("OBS-U", self.recent if self.list == "finding" else [self.last])
            self.polarity = "OBS-U"
            if not following.modifies:  # "minimal scar or atelectasis"
                for source, head in self.last.modifies:
                    if head in self.last.heads:
                        self.each([source], "modify", following.heads)

    def _relabel(self, label: str, chunks: list[Chunk], anew: bool = False) -> None:
        anew = anew and bool(chunks) and chunks[0].joint == "comma"
        for chunk in chunks:
            if chunk.label != "OBS-DA" or anew:
                chunk.label = label

    def topic_heads(self) -> list[Unit]:
        """Heads of the anatomy that the clause speaks of; none if it speaks of a finding."""
        if any(chunk.kind == "finding" for chunk in self.topic):
            return []
        return [place.head for chunk in self.topic for place in chunk.places]

    def each(self, sources: Iterable[Unit], relation: str, targets: Iterable[Unit]) -> None:
        """Relates every source to every target."""
        targets = list(targets)[-MAX_LIST:]
        for source in sources:
            for target in targets:
                self.relate(source, relation, target)

    def relate(self, source: Unit, relation: str, target: Unit) -> None:
        """Adds a relation, if it may stand between two such entities."""
        anatomy = source[2] in ANATOMY_ROLES, target[2] in ANATOMY_ROLES
        fits = anatomy == (False, True) if relation == "located_at" else anatomy[0] == anatomy[1]
        if fits and source != target:
            self.relations.setdefault(source, []).append((relation, target))


def _of_another_image(found: list[Item], index: int) -> bool:
    """Whether a denial is about another image: "not seen on the prior study"."""
    following = [item.role for item in found[index + 1 : index + 3] if isinstance(item, Cue)]
    return following == ["place", "examination"]


def _is_chunk_or_verb(item: Item | None) -> bool:
    """Whether a cue reaches forward though it mostly does not: "no longer seen is the effusion"."""
    return isinstance(item, Chunk) or (item is not None and item.role == "is")


def _nothing_follows(item: Item | None) -> bool:
    """Whether a cue ends its clause: "effusion: no"."""
    if item is None:
        return True
    return isinstance(item, Cue) and (item.role == "turn" or not item.unit[3][0].isalnum())


def _chunk_follows(found: list[Item], index: int, until_comma: bool) -> bool:
    """Whether an observation or anatomy follows a cue in its clause."""
    for item in found[index + 1 : index + 1 + MAX_LIST]:
        if isinstance(item, Chunk):
            return item.kind != "state"
        if item.role in ("turn", "there") or (until_comma and item.unit[3] == ","):
            return False
    return False


def _list_goes_on(found: list[Item], index: int) -> bool:
    """Whether the list at hand goes on: an "or" follows before a verb or a new clause."""
    for item in found[index + 1 : index + 1 + 4 * MAX_LIST]:
        if isinstance(item, Cue):
            if item.unit[3] in ("or", "nor", "/"):
                return True
            if item.role in ("turn", "there", "is", "has"):
                return False
    return False
