"""One sentence read left to right: which words are entities, and how they stand to each other."""

from collections.abc import Callable, Iterable

from kia.knowledge.graph_chunks import CHANGE, NORMAL, Chunk, Cue, Item
from kia.knowledge.graph_clauses import (
    joined,
    leads,
    may_sit_apart,
    place_follows,
    says_normal,
    sits_elsewhere,
    without_examination,
)
from kia.knowledge.graph_lexicon import ANATOMY_ROLES, Unit, word_set

CHANGE_NOUNS = word_set("change_noun")
ASPECTS = word_set("aspect")

MAX_LIST = 12
"""Members of a list that relations reach; keeps the time linear in the length of a sentence."""


class SentenceGraph:
    """Entities and relations of one sentence.

    Attributes:
        labels: Entity → label.
        relations: Source entity → (relation, target entity).
    """

    def __init__(self) -> None:
        self.labels: dict[Unit, str] = {}
        self.relations: dict[Unit, list[tuple[str, Unit]]] = {}
        self._chunks: list[Chunk] = []
        self._links: set[str] = set()  # roles of the cues since the last chunk
        self._polarity = "OBS-DP"
        self._topic: list[Chunk] = []  # what the clause speaks of: all anatomy, or all observations
        self._recent: list[Chunk] = []  # the observations that a place or a denial would refer to
        self._states: list[Unit] = []  # what was last said of the topic
        self._list = ""  # role of the list that a join would go on with
        self._sources: list[Chunk] = []  # what the members of that list relate to
        self._at_topic = False  # whether they sit at the topic
        self._waiting: list[Chunk] = []  # narrowing words whose head is still to come
        self._last: Chunk | None = None
        self._last_leads = False

    def read(self, found: list[Item]) -> None:
        """Reads the chunks and cues of a sentence."""
        found = without_examination(found)
        subjects = leads(found)
        for index, item in enumerate(found):
            if isinstance(item, Cue):
                self._cue(item, found, index)
            else:
                self._chunk(item, found, index, subjects[index])
        for chunk in self._chunks:
            for unit in chunk.units:
                self.labels[unit] = "ANAT-DP" if unit[2] in ANATOMY_ROLES else chunk.label

    # cues

    def _cue(self, cue: Cue, found: list[Item], index: int) -> None:
        role = cue.role
        self._links.add(role)
        if role == "negation":
            self._polarity = "OBS-DA"
        elif role in ("hedge", "suggests_hedged"):
            if self._polarity != "OBS-DA":
                self._polarity = "OBS-U"
        elif role == "denied":
            self._relabel("OBS-DA")
        elif role == "hedged":
            self._relabel("OBS-U")
        elif role == "turn":
            self._polarity = "OBS-DP"
        elif role == "there":
            self._polarity = "OBS-DP"
            self._topic, self._recent, self._states = [], [], []
            self._list = ""
        elif role == "along_with" and self._last is not None:
            self._polarity = "OBS-DP"
        elif cue.unit[3] == "of" and self._last is not None and self._last is found[index - 1]:
            if self._last.kind == "state" and self._last.heads[-1][3] == "clear":
                self._polarity = "OBS-DA"  # "clear of infiltrates"
                self._links.add("negation")
        elif role == "versus" or (role == "join" and cue.unit[3] == "or"):
            self._alternatives(found, index)

    def _alternatives(self, found: list[Item], index: int) -> None:
        """Of alternatives under no negation each is uncertain."""
        if self._polarity == "OBS-DA" or self._last is None or self._last.kind != "finding":
            return
        following = next((i for i in found[index + 1 : index + 4] if isinstance(i, Chunk)), None)
        if following is not None and following.kind == "finding":
            self._relabel("OBS-U", self._recent if self._list == "finding" else [self._last])
            self._polarity = "OBS-U"
            if not following.modifies:  # "minimal scar or atelectasis"
                for source, head in self._last.modifies:
                    if head in self._last.heads:
                        self._each([source], "modify", following.heads)

    def _relabel(self, label: str, chunks: list[Chunk] | None = None) -> None:
        for chunk in self._recent if chunks is None else chunks:
            if chunk.label != "OBS-DA":
                chunk.label = label

    # chunks

    def _chunk(self, chunk: Chunk, found: list[Item], index: int, leads: bool) -> None:
        links = self._links
        if (leads or says_normal(chunk)) and "negation" not in links:
            self._polarity = "OBS-DP"
        chunk.label = self._polarity
        self._chunks.append(chunk)
        for source, target in chunk.modifies:
            self._relate(source, "modify", target)
        if self._waits(chunk, found, index):
            self._waiting.append(chunk)
            return
        for place in chunk.places:
            self._each(place.narrowing, "modify", [place.head])
        self._serve_waiting(chunk)
        read: dict[str, Callable[[Chunk, list[Item], int, bool], None]] = {
            "anatomy": self._anatomy,
            "state": self._state,
            "finding": self._finding,
        }
        read[chunk.kind](chunk, found, index, leads)
        self._last, self._last_leads = chunk, leads
        self._links = set()

    def _waits(self, chunk: Chunk, found: list[Item], index: int) -> bool:
        """Whether a chunk narrows the head of a later one: "right and left lungs"."""
        following = joined(found, index)
        if following is None:
            return False
        if chunk.only == "side":
            return bool(following.places) or following.kind == "finding"
        if chunk.only == "adjective":
            return following.kind == "finding" and bool(following.places)
        if chunk.kind == "state" and not chunk.places and following.kind == "finding":
            return not (self._topic and "is" in self._links)
        return False

    def _serve_waiting(self, chunk: Chunk) -> None:
        for waiting in self._waiting:
            if waiting.kind == "state":
                waiting.label = chunk.label
                self._each(waiting.heads, "modify", chunk.heads)
            elif waiting.only == "side" and chunk.places:
                self._each(waiting.units, "modify", [chunk.places[0].head])
            else:
                self._each(chunk.heads, "located_at", [place.head for place in waiting.places])
        self._waiting = []

    def _anatomy(self, chunk: Chunk, found: list[Item], index: int, leads: bool) -> None:
        links = self._links
        heads = [place.head for place in chunk.places]
        topic = self._topic_heads()
        listed = "join" in links and not leads
        if (
            chunk.only in ("attribute", "side")
            and topic
            and not leads
            and ("place" in links or (listed and self._list == "attribute") or not links)
        ):
            self._each(chunk.units, "modify", topic)
            self._list = "attribute"
        elif self._recent and not leads and self._locates(links):
            if self._list != "place":
                self._sources = self._recent
            self._locate(self._sources, chunk)
            self._list = "place"
        elif "place" in links and self._last is not None and self._last.kind == "anatomy":
            first = self._last.places[-1].head
            if first[2] == "part":
                self._each([first], "modify", heads)
            else:
                self._each(heads, "modify", [first])
        elif self._goes_on(leads):
            self._share_attributes(chunk)
            self._topic = [*self._topic, chunk][-MAX_LIST:]
            self._each(self._states, "located_at", heads)
        else:
            self._topic, self._recent, self._states = [chunk], [], []
            self._list = "anatomy"

    def _goes_on(self, leads: bool) -> bool:
        """Whether anatomy is one more of what the clause speaks of."""
        return "join" in self._links and self._list == "anatomy" and leads == self._last_leads

    def _locates(self, links: set[str]) -> bool:
        """Whether anatomy after these cues is the place of the last observations."""
        if "place" in links or "suggests" in links:
            return True
        if "join" in links:
            return self._list == "place" or (
                self._list == "finding" and self._last is not None and not self._last.places
            )
        return not links - {"passed_over", "other", "transparent"}

    def _locate(self, sources: list[Chunk], chunk: Chunk) -> None:
        *earlier, last = sources
        for source in [*(chunk for chunk in earlier if may_sit_apart(chunk)), last]:
            self._each(source.heads, "located_at", [place.head for place in chunk.places])

    def _share_attributes(self, chunk: Chunk) -> None:
        """Gives "contours" of "heart and mediastinal contours" to the heart as well."""
        attributes = [u for u in chunk.units if u[2] == "attribute"]
        last = self._topic[-1]
        if attributes and not any(unit[2] == "attribute" for unit in last.units):
            self._each(attributes, "modify", [place.head for place in last.places])

    def _state(self, chunk: Chunk, found: list[Item], index: int, leads: bool) -> None:
        topic = self._topic_heads()
        if chunk.places and not (chunk.only_narrows and topic):
            before = chunk.units[0][2] in ANATOMY_ROLES  # "heart and lungs normal"
            if before and not self._states and self._goes_on(leads):
                self._share_attributes(chunk)
                self._topic = [*self._topic, chunk][-MAX_LIST:]
            else:
                self._topic = [chunk]
            self._each(chunk.heads, "located_at", self._topic_heads())
            self._states, self._recent, self._list = chunk.heads, [chunk], "anatomy"
            return
        if chunk.places:  # "of normal size", "clear bilaterally"
            self._each([p.head for p in chunk.places], "modify", topic)
        if topic:
            change = chunk.heads[-1][3] in CHANGE and "is" not in self._links
            abnormal = self._states and not any(u[3] in NORMAL for u in self._states)
            if change and abnormal and self._states[-1][3] not in CHANGE:
                self._each(chunk.heads, "modify", self._states[-1:])
            else:
                self._each(chunk.heads, "located_at", topic)
                self._states = [*self._states, *chunk.heads][-MAX_LIST:]
            self._recent = [chunk]
        elif self._topic:
            for finding in self._topic:
                self._each(chunk.heads, "modify", finding.heads)
        else:
            self._recent = [chunk]
        self._list = "attribute" if chunk.places else "state"

    def _finding(self, chunk: Chunk, found: list[Item], index: int, leads: bool) -> None:
        links, last = self._links, self._last
        self._each(chunk.heads, "located_at", [place.head for place in chunk.places])
        explained = self._explained(links, last)
        if explained:
            if self._list != "target":
                self._sources = explained
            for source in self._sources:
                self._each(source.heads, "suggestive_of", chunk.heads)
            self._recent = [*self._recent, chunk][-MAX_LIST:]
            self._list = "target"
            return
        if "place" in links and last is not None and last.heads and not last.places:
            if last.heads[-1][2] == "quantity":
                for narrowing in [unit for unit, head in last.modifies if head in last.heads]:
                    self.relations[narrowing] = [("modify", head) for head in chunk.heads]
                self._each(last.heads, "modify", chunk.heads)
            elif last.heads[-1][3] in CHANGE_NOUNS:
                self._each(last.heads, "modify", chunk.heads)
        elif "along_with" in links and chunk.heads[-1][3] in ASPECTS:
            for finding in [c for c in self._topic if c.kind == "finding"][-1:]:
                self._each(chunk.heads, "modify", finding.heads)
            self._recent = [chunk]
            return
        topic = self._topic_heads()
        listed = "join" in links and self._list == "finding"
        said = bool(links & {"has", "negation", "along_with"})
        self._at_topic = self._at_topic if listed and not said else bool(topic) and said
        if self._at_topic and topic and sits_elsewhere(chunk) and not place_follows(found, index):
            self._each(chunk.heads, "located_at", topic)
        self._recent = [*self._recent, chunk][-MAX_LIST:] if listed else [chunk]
        if not self._at_topic:
            self._topic, self._states = self._recent, []
        self._list = "finding"

    def _explained(self, links: set[str], last: Chunk | None) -> list[Chunk]:
        """The observations that the one at hand explains."""
        if "join" in links and self._list == "target" and not links & {"there", "turn"}:
            return self._sources
        suggests = bool(links & {"suggests", "suggests_hedged"})
        suggests = suggests or ("transparent" in links and "join" in links and last is not None)
        suggests = suggests or ("hedge" in links and "join" in links)
        if not suggests or not self._recent or "there" in links:
            return []
        return [chunk for chunk in self._recent if chunk.heads]

    # relations

    def _topic_heads(self) -> list[Unit]:
        """Heads of the anatomy that the clause speaks of; none if it speaks of a finding."""
        if any(chunk.kind == "finding" for chunk in self._topic):
            return []
        return [place.head for chunk in self._topic for place in chunk.places]

    def _each(self, sources: Iterable[Unit], relation: str, targets: Iterable[Unit]) -> None:
        targets = list(targets)[-MAX_LIST:]
        for source in sources:
            for target in targets:
                self._relate(source, relation, target)

    def _relate(self, source: Unit, relation: str, target: Unit) -> None:
        anatomy = source[2] in ANATOMY_ROLES, target[2] in ANATOMY_ROLES
        fits = anatomy == (False, True) if relation == "located_at" else anatomy[0] == anatomy[1]
        if fits and source != target:
            self.relations.setdefault(source, []).append((relation, target))
