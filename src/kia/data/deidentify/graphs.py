"""Graphs of reports without what is personal in them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from kia.data.deidentify.rules import find_personal
from kia.data.deidentify.spans import MARK
from kia.knowledge.radgraph import Entity, ReportGraph, tokenise

_CLOSED = re.compile(r"[.,;:?!%)\]]+")
_TIGHT = re.compile(r"[/\-'’@.:_]+")


def clean_graph(graph: ReportGraph, personal: Iterable[str]) -> ReportGraph:
    """A graph whose text has a mark for each run of personal tokens.

    Entities that lie in such a run go, and relations to them; the others move with their tokens.

    Args:
        graph: Its text may be that of the report, or of more.
        personal: What was found in the study's own texts.
    """
    tokens = graph.text.split()
    hidden = _hidden(tokens, personal)
    if not any(hidden):
        return graph
    places, kept = [], []  # of each old token: its place among the new ones
    for number, token in enumerate(tokens):
        if not hidden[number]:
            kept.append(token)
        elif number == 0 or not hidden[number - 1]:
            kept.append(MARK)
        places.append(len(kept) - 1)
    stay = {
        key: entity
        for key, entity in graph.entities.items()
        if not any(hidden[entity.start_ix : entity.end_ix + 1])
    }
    return ReportGraph(
        " ".join(kept), {key: _moved(entity, places, stay.keys()) for key, entity in stay.items()}
    )


def _moved(entity: Entity, places: Sequence[int], keys: Iterable[str]) -> Entity:
    return replace(
        entity,
        start_ix=places[entity.start_ix],
        end_ix=places[entity.end_ix],
        relations=tuple(relation for relation in entity.relations if relation[1] in set(keys)),
    )


def _hidden(tokens: Sequence[str], personal: Iterable[str]) -> list[bool]:
    """Which tokens belong to what was found in the study, or is found in the graph's own text."""
    hidden = [False] * len(tokens)
    lower = [token.lower() for token in tokens]
    for run in {tuple(tokenise(text.lower())) for text in personal}:
        for start in range(len(tokens) - len(run) + 1):
            if run and tuple(lower[start : start + len(run)]) == run:
                hidden[start : start + len(run)] = [True] * len(run)
    text, starts = _written(tokens)
    for piece in find_personal(text):
        for number, start in enumerate(starts):
            if piece.start < start + len(tokens[number]) and start < piece.end:
                hidden[number] = True
    return hidden


def _written(tokens: Sequence[str]) -> tuple[str, list[int]]:
    """The text as somebody would write it ("12/3/2019", not "12 / 3 / 2019"), and token starts."""
    parts, starts, length = [""], [0], 0
    address = {
        near
        for number, token in enumerate(tokens)
        if "@" in token or token in ("www", "://")
        for near in range(number - 5, number + 8)
    }
    for number, (before, token) in enumerate(pairwise(["", *tokens])):
        gap = " " if number and not _joined(before, token, number in address) else ""
        parts += [gap, token]
        starts.append(length + len(gap))
        length += len(gap) + len(token)
    return "".join(parts), starts[1:]


def _joined(before: str, token: str, in_address: bool) -> bool:
    """Whether no space stands between two tokens."""
    if before.endswith(("(", "[")) or _CLOSED.fullmatch(token):
        return True
    stroke = token if _TIGHT.fullmatch(token) else before
    if not _TIGHT.fullmatch(stroke):
        return False
    return in_address or stroke not in (".", ":") or (before == stroke and token.isdigit())
