"""Masked versions of a report in words, each with its reason, for people to read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kia.knowledge.alignment import align
from kia.knowledge.chexpert import label_report
from kia.knowledge.masks.text import (
    ANATOMY,
    NEITHER,
    OBSERVATION,
    sides_to_hide,
    token_sides,
)
from kia.knowledge.radgraph import ReportGraph
from kia.studies import Study

MASK = "[MASK]"
_REASONS = {
    NEITHER: "no entity: words at random",
    OBSERVATION: "observation side",
    ANATOMY: "anatomy side",
}


@dataclass(frozen=True, slots=True)
class MaskedVersion:
    """A sentence, or the label report, as a masking would show it to the model.

    Attributes:
        masking: "graph" or "label".
        text: With [MASK] in place of hidden words.
        reason: Why these.
    """

    masking: str
    text: str
    reason: str


def masked_versions(study: Study, seed: int = 0) -> Iterator[MaskedVersion]:
    """The sentences under graph masking with coins of this seed, then the label report."""
    if study.graph is not None:
        yield from _graph_versions(ReportGraph.from_record(dict(study.graph)), study.report, seed)
    if study.labels is not None:
        masked = re.sub(r"\b(present|absent)\b", MASK, label_report(study.labels))
        yield MaskedVersion("label", masked, "every present/absent of the label report")


def _graph_versions(graph: ReportGraph, report: str, seed: int) -> Iterator[MaskedVersion]:
    tokens, sides, sentences, count = token_sides(graph)
    coins = np.random.default_rng(seed).random((1, count))
    hidden = sides_to_hide(sides[None], sentences[None], coins)[0]
    spans = align(tokens, report)
    for sentence in range(count):
        inside = np.flatnonzero(sentences == sentence)
        side = hidden[inside[0]]
        words = []
        for index in inside:
            place = spans[index]
            word = tokens[index] if place is None else report[place[0] : place[1]]
            words.append(MASK if side != NEITHER and sides[index] == side else word)
        yield MaskedVersion("graph", " ".join(words), _REASONS[int(side)])
