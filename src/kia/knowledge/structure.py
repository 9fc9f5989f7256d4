"""A report organ by organ: which sentence speaks of which organ, and what it says of it.

Built on what the labeler and the graph read in a sentence (`kia.knowledge.stated`) and on the table
of organs (`kia.knowledge.organs`). "No effusion" makes the pleura normal, a granuloma the lungs
abnormal; of devices, abnormal means that there is one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypedDict, get_args

from kia.knowledge.labels.lexicon import sentences_of
from kia.knowledge.labels.rules import OTHER as OTHER_ABNORMALITY
from kia.knowledge.organs import (
    DEVICES,
    HEART,
    LUNGS,
    OBSERVATION_ORGANS,
    ORGANS,
    OTHER,
    PLEURA,
    known_organ,
    organ_of_anatomy,
)
from kia.knowledge.stated import ABSENT, CLEAR_LUNGS, UNCERTAIN, Statement, statements

State = Literal["abnormal", "uncertain", "normal", "not mentioned"]

STATES: tuple[State, ...] = get_args(State)
"""Where several sentences speak of an organ, the first of these counts that one of them says."""
NOT_MENTIONED: Final = "not mentioned"

_NORMAL, _NEUTRAL, _VAGUE, _SOMETHING = (
    frozenset(words.split())
    for words in (
        "normal unremarkable intact preserved patent clear midline expanded inflated aerated sharp "
        "symmetric symmetrical maintained",
        "stable unchanged similar constant",
        "finding findings evidence area areas appearance size contour view views lordotic "
        "incidental limited suboptimal",
        "acute disease process abnormality abnormalities abnormal change",
    )
)
_WORD = re.compile(r"\w+")
_WHOLE: Mapping[str, tuple[str, ...]] = {
    "cardiopulmonary": (LUNGS, HEART),
    "chest": (LUNGS, PLEURA, HEART),
}
"""Words that stand for several organs: "no acute cardiopulmonary disease", "normal chest"."""


@dataclass(frozen=True, slots=True)
class OrganState:
    """What a report says of an organ.

    Attributes:
        state: Of all its sentences together.
        sentences: Numbers of those that speak of it, in order.
    """

    state: State = NOT_MENTIONED
    sentences: tuple[int, ...] = ()


class OrganLine(TypedDict):
    """An organ in JSON: its state, and the sentences that speak of it."""

    state: State
    sentences: list[str]


def structure_report(report: str) -> dict[str, OrganLine]:
    """A free report organ by organ, in the order of `ORGANS`.

    Args:
        report: In English. Sections that do not describe the image are left out, if they have a
            header (indication, comparison …).
    """
    texts = [" ".join(sentence.split()) for sentence in sentences_of(report)]
    return {
        organ: {"state": one.state, "sentences": [texts[n] for n in one.sentences]}
        for organ, one in structure_sentences(texts).items()
    }


def structure_sentences(sentences: Sequence[str]) -> dict[str, OrganState]:
    """The same for sentences, by their numbers."""
    said = [organs_of(sentence) for sentence in sentences]
    found = {}
    for organ in ORGANS:
        numbers = tuple(number for number, one in enumerate(said) if organ in one)
        found[organ] = OrganState(_together([said[n][organ] for n in numbers]), numbers)
    return found


@lru_cache(maxsize=20_000)  # reports repeat their sentences
def organs_of(sentence: str) -> Mapping[str, State]:
    """The organs that a sentence speaks of, and what it says of each; {} if of none."""
    told = [one for one in statements(sentence) if not one.implied and not _is_vague(one)]
    said = [(one, _organs(one, sentence)) for one in told]
    if any(DEVICES in organs for _, organs in said):  # where it lies is no finding
        said = [(one, o) for one, o in said if DEVICES in o or one.topic in OBSERVATION_ORGANS]
    votes: dict[str, list[State]] = {}
    for one, organs in said:
        for organ in organs:
            votes.setdefault(organ, []).append(_state(one))
    return {organ: _together(states) for organ, states in votes.items()}


def _together(states: Sequence[State]) -> State:
    return min(states, key=STATES.index, default=NOT_MENTIONED)


def _observation(one: Statement) -> str:
    """The observation of a statement, or what else it is about."""
    return one.topic.partition(":")[0]


def _words(one: Statement) -> set[str]:
    return set(one.words.lower().split())


def _is_vague(one: Statement) -> bool:
    return one.topic != CLEAR_LUNGS and _words(one) <= _VAGUE


def _state(one: Statement) -> State:
    words = _words(one)
    of_graph = _observation(one) not in {*OBSERVATION_ORGANS, OTHER_ABNORMALITY}
    if one.state == UNCERTAIN or (of_graph and words & _NEUTRAL):
        return "uncertain"
    if one.topic == CLEAR_LUNGS or one.topic.startswith("normal "):  # their state is the abnormal's
        return "normal" if one.state == ABSENT else "abnormal"
    denied = one.state == ABSENT
    return "normal" if denied != bool(of_graph and words & _NORMAL) else "abnormal"


def _organs(one: Statement, sentence: str) -> set[str]:
    """The organs of a statement; none of "no acute disease", or of what its words do not tell."""
    observation, words = _observation(one), _words(one)
    if one.topic == CLEAR_LUNGS:
        return {LUNGS}
    found = {OBSERVATION_ORGANS[observation]} if observation in OBSERVATION_ORGANS else set()
    if _state(one) == "normal" and words & _NORMAL:  # "heart, mediastinum and vessels are normal"
        found |= _organs_named(one.anatomies)
    if observation == OTHER_ABNORMALITY and words <= _SOMETHING | words & _WHOLE.keys():
        found |= _organs_named(_WORD.findall(sentence))  # "lungs and pleura without abnormality"
    named = words.union(*(name.split() for name in one.anatomies))
    if not found or observation == OTHER_ABNORMALITY:
        found |= {organ for word in named & _WHOLE.keys() for organ in _WHOLE[word]}
    if found or words <= _SOMETHING:
        return found
    if organ := known_organ(one.words, one.anatomies):
        return {organ}
    nearby = organ_of_anatomy(" ".join(_WORD.findall(sentence)))
    return {nearby} if nearby else {OTHER} if one.anatomies else set()


def _organs_named(names: Iterable[str]) -> set[str]:
    """The organs of some anatomies."""
    return {organ for name in names if (organ := organ_of_anatomy(name))}
