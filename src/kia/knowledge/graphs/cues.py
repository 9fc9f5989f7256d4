"""What a clause speaks of and how certainly, as the cues between its phrases set it."""

from collections.abc import Iterable

from kia.knowledge.graphs.chunks import Chunk, Cue, Item
from kia.knowledge.graphs.lexicon import ANATOMY_ROLES, Unit

EXPLAINING_HEDGES = frozenset(
    {"likely", "probably", "possibly", "presumably", "perhaps", "favored", "may", "might", "could"}
)

MAX_LIST = 12
"""Members of a list that relations reach; keeps the time linear in the length of a sentence."""


class Clause:
    """The state of reading: relations found so far, certainty, topic and the list at hand.

    Attributes:
        relations: Source entity → (relation, target entity).
        links: Roles of the cues since the last phrase.
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
        if cue.unit[3] in ("and", "or", "but"):
            self.links.add("linked")
        elif cue.unit[3] in EXPLAINING_HEDGES:
            self.links.add("explains")
        if role == "negation":
            self.polarity = "OBS-DA"
        elif role in ("hedge", "suggests_hedged"):
            if self.polarity != "OBS-DA":
                self.polarity = "OBS-U"
        elif role == "denied":
            if not _of_another_image(found, index):
                self._relabel("OBS-DA")
        elif role == "hedged":
            following = found[index + 1] if index + 1 < len(found) else None
            if isinstance(following, Chunk):  # "is likely atelectasis"
                self.links |= {"hedge", "explains"}
                self.polarity = "OBS-U"
            else:
                self._relabel("OBS-U")
        elif role == "turn":
            self.polarity = "OBS-DP"
        elif role == "there":
            self.polarity = "OBS-DP"
            self.topic, self.recent, self.states = [], [], []
            self.list = ""
        elif role == "along_with" and self.last is not None:
            self.polarity = "OBS-DP"
        elif cue.unit[3] == "of" and self.last is not None and self.last is found[index - 1]:
            if self.last.kind == "state" and self.last.heads[-1][3] == "clear":
                self.polarity = "OBS-DA"  # "clear of infiltrates"
                self.links.add("negation")
        elif role == "versus" or (role == "join" and cue.unit[3] == "or"):
            self._alternatives(found, index)

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

    def _relabel(self, label: str, chunks: list[Chunk] | None = None) -> None:
        for chunk in self.recent if chunks is None else chunks:
            if chunk.label != "OBS-DA":
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
