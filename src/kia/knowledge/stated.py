"""What a sentence of a report states, so that two reports can be compared (Paper: Fig. 6, 11).

The built-in labeler says which observations a sentence names and whether they are present, absent
or uncertain; the graph says where, how severe, and what is normal.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.labels.rules import OTHER, Reason, explain_report
from kia.knowledge.radgraph import Entity, ReportGraph, token_spans

PRESENT, ABSENT, UNCERTAIN = 1, 0, -1

_PLACES = {
    "left": {"left", "leftward", "bilateral", "bilaterally", "both", "bibasilar", "bibasal"},
    "right": {"right", "bilateral", "bilaterally", "both", "bibasilar", "bibasal"},
    "upper": {"upper", "apical", "apex", "apices", "biapical"},
    "middle": {"mid", "middle"},
    "lower": {"lower", "base", "bases", "basal", "basilar", "bibasilar", "bibasal"},
}
_AXES = (frozenset({"left", "right"}), frozenset({"upper", "middle", "lower"}))
_GRADES = {
    1: "minimal minimally trace tiny small mild mildly slight slightly subtle faint limited",
    2: "moderate moderately medium",
    3: "large severe severely marked markedly massive extensive gross grossly",
}
_GRADE_OF = {word: grade for grade, words in _GRADES.items() for word in words.split()}
_NORMAL = {"normal", "unremarkable", "intact", "within normal limits", "preserved", "patent"}
_LUNGS = {"lung", "lungs", "lobe", "lobes", "hemithorax"}
CLEAR_LUNGS = "clear lungs"
_NOT_CLEAR = {
    *("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis"),
}
_COLLECTIVE = {OTHER, "Support Devices"}  # names for many things: the last word says which
_WORD = re.compile(r"[a-z]+")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a sentence says.

    Attributes:
        topic: An observation; "clear lungs"; "normal X" of an anatomy X; or words of the graph.
        state: Of the observation, `PRESENT`, `ABSENT` or `UNCERTAIN`; for "clear lungs" and
            "normal X" of what would be abnormal there.
        places: Some of left, right, upper, middle, lower; none where it does not say.
        grades: 1 mild, 2 moderate, 3 severe; none where it does not say.
        implied: Not said in so many words: a lung with an opacity is not clear.
        words: That name it in the sentence; not compared, as the next.
        anatomies: Where it is said to lie.
    """

    topic: str
    state: int
    places: frozenset[str] = frozenset()
    grades: frozenset[int] = frozenset()
    implied: bool = False
    words: str = field(default="", compare=False)
    anatomies: tuple[str, ...] = field(default=(), compare=False)


def agree(one: Statement, other: Statement) -> bool:
    """Whether two statements say the same: topic and state are equal, and nothing speaks against.

    Against it speaks another side or another height of the lung where both say one, and mild
    against severe. "Bilateral" agrees with "left", moderate with both mild and severe.
    """
    same = (one.topic, one.state) == (other.topic, other.state)
    return same and not _elsewhere(one, other) and not _far_apart(one, other)


def says(other: Statement, one: Statement) -> bool:
    """Whether one statement holds all of another: they agree, and what it denies is wide enough.

    "The right lung is clear" agrees with "the lungs are clear", but does not say it.
    """
    if not agree(one, other):
        return False
    if one.state != ABSENT:
        return True
    wide = (
        not (there := other.places & axis) or (one.places & axis and one.places & axis <= there)
        for axis in _AXES
    )
    return all(wide)


def conflict(one: Statement, other: Statement) -> str | None:
    """How two statements contradict each other, None if they do not.

    Returns:
        "presence": the same observation is present and absent, at places that may be one;
        "place": present on different sides or at different heights; "severity": mild and severe.
        An uncertain statement contradicts nothing.
    """
    if one.topic != other.topic:
        return None
    states = {one.state, other.state}
    if states == {PRESENT, ABSENT}:
        return None if _elsewhere(one, other) else "presence"
    if states != {PRESENT} or one.implied or other.implied:
        return None
    if _elsewhere(one, other):
        return "place"
    return "severity" if _far_apart(one, other) else None


def _elsewhere(one: Statement, other: Statement) -> bool:
    for axis in _AXES:
        here, there = one.places & axis, other.places & axis
        if here and there and not here & there:
            return True
    return False


def _far_apart(one: Statement, other: Statement) -> bool:
    gaps = [abs(a - b) for a in one.grades for b in other.grades]
    return bool(gaps) and min(gaps) > 1


@lru_cache(maxsize=20_000)  # reports repeat their sentences
def statements(sentence: str) -> tuple[Statement, ...]:
    """What a sentence states, each thing once; () for one without a known word."""
    text = " ".join(sentence.split())
    graph = extract_graphs([text])[0]
    spans = token_spans(text)
    reasons = [(_place(text, reason), reason) for reason in explain_report(text)[1]]
    reasons = [(span, reason) for span, reason in reasons if reason.observation != "No Finding"]
    found: list[Statement] = []
    covered: set[str] = set()
    for span, reason in reasons:
        named = {key for key, entity in graph.entities.items() if _lies(entity, spans, span)}
        named |= {target for key in named for target in _targets(graph.entities[key], "modify")}
        found += _of_reason(reason, named, graph)
        covered |= named
    found += _of_graph(graph, covered)
    return tuple(dict.fromkeys(found))


def _targets(entity: Entity, kind: str) -> list[str]:
    return [target for relation, target in entity.relations if relation == kind]


def _place(text: str, reason: Reason) -> Span:
    """Where the labeler's phrase stands; the whole sentence if it was spelt in another way."""
    pattern = r"\W*".join(map(re.escape, reason.phrase.split()))
    match = re.search(pattern, text, re.IGNORECASE)
    return match.span() if match else (0, len(text))


def _lies(entity: Entity, spans: list[Span], span: Span) -> bool:
    return spans[entity.start_ix][0] < span[1] and span[0] < spans[entity.end_ix][1]


def _of_reason(reason: Reason, named: set[str], graph: ReportGraph) -> Iterator[Statement]:
    topic = reason.observation
    if topic in _COLLECTIVE:
        topic = f"{topic}: {_singular(reason.phrase.split()[-1])}"
    places = _places(named, graph)
    told = _told(reason.phrase, _anatomies(named, graph))
    yield Statement(topic, reason.value, places, _grades(named, graph), **told)
    if reason.value != PRESENT or reason.observation == "Support Devices":
        return
    if reason.observation in _NOT_CLEAR:
        yield Statement(CLEAR_LUNGS, PRESENT, places, implied=True)
    for anatomy in told["anatomies"]:
        yield Statement(f"normal {anatomy}", PRESENT, places, implied=True)


def _of_graph(graph: ReportGraph, covered: set[str]) -> Iterator[Statement]:
    """What the labeler did not read: what is normal, and other observations."""
    for key, entity in graph.entities.items():
        if not entity.label.startswith("OBS"):
            continue
        words, anatomies = entity.tokens.lower(), _anatomies({key}, graph)
        places = _places({key}, graph)
        if words == "clear" and _LUNGS & {word for name in anatomies for word in name.split()}:
            yield Statement(CLEAR_LUNGS, ABSENT, places, words=words)
        elif key in covered or _targets(entity, "modify"):
            continue
        elif words in _NORMAL and entity.label == "OBS-DP":
            for anatomy in anatomies:
                yield Statement(f"normal {anatomy}", ABSENT, places, **_told(words, [anatomy]))
        else:
            state = {"OBS-DP": PRESENT, "OBS-DA": ABSENT, "OBS-U": UNCERTAIN}[entity.label]
            topic = f"{_singular(words)} at {', '.join(anatomies)}" if anatomies else words
            grades = _grades({key}, graph)
            yield Statement(topic, state, places, grades, **_told(words, anatomies))


def _told(words: str, anatomies: Iterable[str]) -> dict[str, Any]:
    return {"words": words, "anatomies": tuple(anatomies)}


def _anatomies(keys: set[str], graph: ReportGraph) -> list[str]:
    """Names of what some observations are located at, but for mere sides."""
    targets = {t for key in keys for t in _targets(graph.entities[key], "located_at")}
    names = {_anatomy(target, graph) for target in targets}
    return sorted(name for name in names if not all(map(_is_place, _WORD.findall(name))))


def _anatomy(key: str, graph: ReportGraph) -> str:
    """With the words behind it that modify it: "lung volumes", which are not the lungs."""
    head = graph.entities[key]
    words, end = head.tokens, head.end_ix
    for other in sorted(_modifiers({key}, graph), key=lambda one: graph.entities[one].start_ix):
        if graph.entities[other].start_ix == end + 1:
            words, end = f"{words} {graph.entities[other].tokens}", graph.entities[other].end_ix
    return _singular(words.lower())


def _is_place(word: str) -> bool:
    return word in {"side", "sided"} or any(word in words for words in _PLACES.values())


def _singular(words: str) -> str:
    return re.sub(r"(?<=[a-z]{3})(?<![sui])s\b", "", words)


def _places(keys: set[str], graph: ReportGraph) -> frozenset[str]:
    """Sides and heights of some entities, of where they are located, and of what modifies that."""
    entities = graph.entities
    reached, front = set(keys), set(keys)
    while front:
        ahead = {
            target
            for key in front
            for relation, target in entities[key].relations
            if relation != "suggestive_of"
        }
        front = ahead - reached
        reached |= front
    reached |= _modifiers({key for key in reached if entities[key].label == "ANAT-DP"}, graph)
    words = {word for key in reached for word in _WORD.findall(entities[key].tokens.lower())}
    return frozenset(place for place, names in _PLACES.items() if names & words)


def _grades(keys: set[str], graph: ReportGraph) -> frozenset[int]:
    near = keys | _modifiers(keys, graph)
    words = (word for key in near for word in _WORD.findall(graph.entities[key].tokens.lower()))
    return frozenset(_GRADE_OF[word] for word in words if word in _GRADE_OF)


def _modifiers(keys: set[str], graph: ReportGraph) -> set[str]:
    every = graph.entities.items()
    return {key for key, entity in every if keys & set(_targets(entity, "modify"))}
