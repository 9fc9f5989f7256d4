"""One sentence read left to right: which words are entities, and how they stand to each other."""

from kia.knowledge.graphs.chunks import ASPECTS, CHANGE, Chunk, Cue, Item, Place, is_normal
from kia.knowledge.graphs.clauses import (
    joined,
    leads,
    may_sit_apart,
    place_follows,
    says_normal,
    shares_head,
    sits_elsewhere,
    without_examination,
)
from kia.knowledge.graphs.cues import MAX_LIST, Clause
from kia.knowledge.graphs.lexicon import ANATOMY_ROLES, CHANGE_NOUNS, Unit

JOINING = frozenset({"join", "linked", "passed_over", "transparent", "other"})


class SentenceGraph(Clause):
    """Entities and relations of one sentence.

    Attributes:
        labels: Entity → label.
        relations: Source entity → (relation, target entity).
    """

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[Unit, str] = {}
        self._chunks: list[Chunk] = []
        self._sources: list[Chunk] = []  # what the members of the list at hand relate to
        self._at_topic = False  # whether they sit at the topic
        self._waiting: list[Chunk] = []  # narrowing words whose head is still to come
        self._last_leads = False

    def read(self, found: list[Item]) -> None:
        """Reads the chunks and cues of a sentence."""
        found = without_examination(found)
        subjects = leads(found)
        for index, item in enumerate(found):
            if isinstance(item, Cue):
                self.hear(item, found, index)
            else:
                self._chunk(item, found, index, subjects[index])
        self._name_alike(found)
        for chunk in self._chunks:
            for unit in chunk.units:
                self.labels[unit] = "ANAT-DP" if unit[2] in ANATOMY_ROLES else chunk.label

    def _name_alike(self, found: list[Item]) -> None:
        """ "Pneumothorax: no pneumothorax": the first only names what the second says."""
        heading = found[:1] and isinstance(found[0], Chunk) and found[0].heads
        if heading and len(found) > 2 and isinstance(found[1], Cue) and found[1].unit[3] == ":":
            for chunk in self._chunks[1:2]:
                if chunk.heads and chunk.heads[-1][3] == heading[-1][3]:
                    self._chunks[0].label = chunk.label

    def _chunk(self, chunk: Chunk, found: list[Item], index: int, leads: bool) -> None:
        links = self.links
        leads = leads and "place" not in links
        if self.polarity != "OBS-DP" and links <= JOINING and self.opens(chunk, found, index):
            self.polarity = "OBS-DP"
        self.join(chunk)
        if (leads or says_normal(chunk)) and "negation" not in links:
            self.polarity = "OBS-DP"
        chunk.label = self.polarity
        self._chunks.append(chunk)
        for source, target in chunk.modifies:
            self.relate(source, "modify", target)
        if self._waits(chunk, found, index):
            self._waiting.append(chunk)
            return
        for place in chunk.places:
            self.each(place.narrowing, "modify", [place.head])
        self._serve_waiting(chunk)
        if chunk.kind == "finding":
            self._finding(chunk, found, index)
        elif chunk.kind == "anatomy":
            self._anatomy(chunk, leads)
        else:
            self._state(chunk, leads)
        self.last, self._last_leads = chunk, leads
        self.links = set()

    def _waits(self, chunk: Chunk, found: list[Item], index: int) -> bool:
        """Whether a chunk narrows the head of a later one: "right and left lungs"."""
        following = joined(found, index)
        if following is None:
            return False
        if chunk.only == "side":
            return bool(following.places) or following.kind == "finding"
        if chunk.only == "adjective":
            if following.kind == "finding":
                return bool(following.places)
            return shares_head(chunk, found[index + 1], following)
        if chunk.kind == "state" and not chunk.places and following.kind == "finding":
            return not (self.topic and "is" in self.links)
        return False

    def _serve_waiting(self, chunk: Chunk) -> None:
        for waiting in self._waiting:
            if waiting.kind == "state":
                waiting.label = chunk.label
                self.each(waiting.heads, "modify", chunk.heads)
            elif chunk.places and (waiting.only == "side" or chunk.kind != "finding"):
                self.each(waiting.units, "modify", [chunk.places[0].head])
            else:
                self.each(chunk.heads, "located_at", [place.head for place in waiting.places])
        self._waiting = []

    def _anatomy(self, chunk: Chunk, leads: bool) -> None:
        links = self.links
        heads = [place.head for place in chunk.places]
        topic = self.topic_heads()
        last = self.last
        denied = last is not None and last.label == "OBS-DA" and "place" in links
        if denied and last is not None and last.heads and last.heads[-1][3] in CHANGE_NOUNS:
            self.polarity = "OBS-DP"  # "no change in the size of the mass"
        if self.topic and not topic and chunk.only == "attribute" and "place" in links:
            self._measure(chunk, chunk.places)  # "effusion has decreased in size"
        elif topic and not leads and self._narrows_topic(chunk):
            self.each(chunk.units, "modify", topic)
            self.list = "attribute"
        elif topic and "place" in links and self._topic_is_attribute():
            self._own_attributes(chunk, topic)  # "normal size of the heart"
        elif self.recent and not leads and self._locates(links):
            if self.list != "place":
                *earlier, last = self.recent
                self._sources = [*(c for c in earlier if not c.placed), last]
            self._locate(self._sources, chunk)
            self.list = "place"
        elif "place" in links and self.last is not None and self.last.kind == "anatomy":
            first = self.last.places[-1].head
            if first[2] == "part":
                self.each([first], "modify", heads)
            else:
                self.each(heads, "modify", [first])
        elif self._goes_on(leads):
            self._share_attributes(chunk)
            self.topic = [*self.topic, chunk][-MAX_LIST:]
            self.each(self.states, "located_at", heads)
        else:
            self.topic, self.recent, self.states = [chunk], [], []
            self.list = "anatomy"

    def _topic_is_attribute(self) -> bool:
        return all(p.head[2] == "attribute" for chunk in self.topic for p in chunk.places)

    def _own_attributes(self, chunk: Chunk, attributes: list[Unit]) -> None:
        """Moves what was said of attributes alone to the anatomy whose they are."""
        heads = [place.head for place in chunk.places]
        self.each(attributes, "modify", heads)
        for state in self.states:
            kept = [r for r in self.relations.get(state, ()) if r[1] not in attributes]
            self.relations[state] = kept
        self.each(self.states, "located_at", heads)
        self.topic, self.list = [chunk], "place"
        self._sources = self.recent

    def _narrows_topic(self, chunk: Chunk) -> bool:
        """Whether anatomy says what the clause says of its topic: "normal in size and contour"."""
        listed = "join" in self.links and self.list == "attribute"
        narrows = chunk.only in ("attribute", "side")
        return narrows and (listed or "place" in self.links or not self.links)

    def _goes_on(self, leads: bool) -> bool:
        """Whether anatomy is one more of what the clause speaks of."""
        joined = "join" in self.links and "other" not in self.links
        return joined and self.list == "anatomy" and leads == self._last_leads

    def _locates(self, links: set[str]) -> bool:
        """Whether anatomy after these cues is the place of the last observations."""
        if "place" in links or "suggests" in links:
            return True
        if "join" in links:
            return self.list == "place" or (
                self.list == "finding" and self.last is not None and not self.last.places
            )
        return not links - {"passed_over", "other", "transparent"}

    def _locate(self, sources: list[Chunk], chunk: Chunk) -> None:
        *earlier, last = sources
        last.placed = True
        for source in [*(chunk for chunk in earlier if may_sit_apart(chunk)), last]:
            self.each(source.heads, "located_at", [place.head for place in chunk.places])

    def _share_attributes(self, chunk: Chunk) -> None:
        """Gives "contours" of "heart and mediastinal contours" to the heart as well."""
        attributes = [unit for unit in chunk.units if unit[2] == "attribute"]
        for earlier in reversed(self.topic if attributes else []):
            if any(unit[2] == "attribute" for unit in earlier.units):
                break
            self.each(attributes, "modify", [place.head for place in earlier.places])

    def _measure(self, chunk: Chunk, places: list[Place]) -> None:
        """Makes size, position and the like of a finding observations that narrow it."""
        for head in [place.head for place in places]:
            measure: Unit = (head[0], head[1], "modifier", head[3])
            chunk.units = [measure if unit == head else unit for unit in chunk.units]
            chunk.places = [place for place in chunk.places if place.head != head]
            for finding in self.topic[-MAX_LIST:]:
                self.each([measure], "modify", finding.heads)

    def _state(self, chunk: Chunk, leads: bool) -> None:
        topic = self.topic_heads()
        if chunk.places and chunk.only_narrows and self.topic and not topic:
            self._measure(chunk, [p for p in chunk.places if p.head[2] == "attribute"])
            for finding in self.topic:  # "effusions, left greater than right"
                self._locate([finding], chunk)
                self.each(chunk.heads, "modify", finding.heads)
            return
        last = self.last
        if chunk.places and "place" in self.links and last is not None and last.kind == "finding":
            self.each(chunk.heads, "located_at", [place.head for place in chunk.places])
            self._locate(self.recent, chunk)  # "catheter in the low SVC"
            return
        if chunk.places and not (chunk.only_narrows and topic):
            before = chunk.units[0][2] in ANATOMY_ROLES  # "heart and lungs normal"
            if before and not self.states and self._goes_on(leads):
                self._share_attributes(chunk)
                self.topic = [*self.topic, chunk][-MAX_LIST:]
            else:
                self.topic = [chunk]
            self.each(chunk.heads, "located_at", self.topic_heads())
            self.states, self.recent, self.list = chunk.heads, [chunk], "anatomy"
            return
        if chunk.places:  # "of normal size", "clear bilaterally"
            self.each([p.head for p in chunk.places], "modify", topic)
        if topic:
            change = chunk.heads[-1][3] in CHANGE and "is" not in self.links
            abnormal = self.states and not any(map(is_normal, self.states))
            if change and abnormal and self.states[-1][3] not in CHANGE:
                self.each(chunk.heads, "modify", self.states[-1:])
            else:
                self.each(chunk.heads, "located_at", topic)
                self.states = [*self.states, *chunk.heads][-MAX_LIST:]
            self.recent = [chunk]
        elif self.topic:
            for finding in self.topic:
                self.each(chunk.heads, "modify", finding.heads)
        else:
            self.recent = [chunk]
        self.list = "attribute" if chunk.places else "state"

    def _finding(self, chunk: Chunk, found: list[Item], index: int) -> None:
        links, last = self.links, self.last
        self.each(chunk.bearers, "located_at", [place.head for place in chunk.places])
        if "place" in links and last is not None and last.only_measures:
            self.topic = [chunk]  # "unchanged position of the tube"
            self._measure(last, last.places)
            self.each(last.heads, "modify", chunk.heads)
        explained = self._explained(links, last)
        if explained:
            if self.list != "target":
                self._sources = explained
            for source in self._sources:
                self.each(source.heads, "suggestive_of", chunk.heads)
            self.recent = [*self.recent, chunk][-MAX_LIST:]
            self.list = "target"
            return
        if "place" in links and last is not None and last.heads and not last.places:
            if last.heads[-1][2] == "quantity":
                for narrowing in [unit for unit, head in last.modifies if head in last.heads]:
                    self.relations[narrowing] = [("modify", head) for head in chunk.heads]
                self.each(last.heads, "modify", chunk.heads)
            elif last.heads[-1][3] in CHANGE_NOUNS:
                self.each(last.heads, "modify", chunk.heads)
                if last.label == "OBS-DA":  # "no change in the effusion" denies no effusion
                    chunk.label = self.polarity = "OBS-DP"
        elif "along_with" in links and chunk.heads[-1][3] in ASPECTS and chunk.owns_aspect:
            for finding in [c for c in self.topic if c.kind == "finding"][-1:]:
                self.each(chunk.heads, "modify", finding.heads)
            self.recent, self.list = [chunk], "finding"
            return
        topic = self.topic_heads()
        listed = "join" in links and not links & {"is", "turn"} and self.list == "finding"
        said = bool(links & {"has", "negation", "along_with"})
        self._at_topic = self._at_topic if listed and not said else bool(topic) and said
        if self._at_topic and topic and sits_elsewhere(chunk) and not place_follows(found, index):
            self.each(chunk.heads, "located_at", topic)
        self.recent = [*self.recent, chunk][-MAX_LIST:] if listed else [chunk]
        if not self._at_topic:
            self.topic, self.states = self.recent, []
        self.list = "finding"

    def _explained(self, links: set[str], last: Chunk | None) -> list[Chunk]:
        """The observations that the one at hand explains."""
        if links & {"join", "versus"} and self.list == "target" and not links & {"there", "turn"}:
            return self._sources
        suggests = bool(links & {"suggests", "suggests_hedged"})
        suggests = suggests or ("transparent" in links and "join" in links and last is not None)
        suggests = suggests or ("explains" in links and ("linked" not in links or "is" in links))
        if not suggests or not self.recent or "there" in links:
            return []
        return [chunk for chunk in self.recent if chunk.heads]
