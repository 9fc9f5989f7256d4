"""Where the words of a graph stand in a report, and what of a graph belongs to it.

RadGraph's files hold graphs of whole reports, from EXAMINATION to IMPRESSION; a data set's report
is often their findings alone. Words are compared whole and in any case, so neither the tokens that
a tool cuts ("x-ray", "T11.") nor a preamble before the findings matter.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import pairwise

from kia.knowledge.radgraph import ReportGraph, token_spans

_WORD = re.compile(r"\w+|[^\w\s]")
_FEW = 4  # words that match by chance, far from the others: "the", "no", "."
_NEAR = 8  # words by which the two sides of a gap may differ without a doubt about what follows


def align(tokens: Sequence[str], text: str) -> list[tuple[int, int] | None]:
    """Where each token of a graph stands in a text, as (start, end); None where it does not.

    Args:
        tokens: Of the graph, in order, cut by any tool; those of a longer text than this one, too.
        text: A report, a part of it, or its beginning.
    """
    spans = token_spans(text)
    if all(text[a:b] == token for (a, b), token in zip(spans, tokens, strict=False)):
        return [*spans[: len(tokens)], *([None] * (len(tokens) - len(spans)))]
    words = [_WORD.findall(token.lower()) for token in tokens]
    there = [match.span() for match in _WORD.finditer(text)]
    places = _places(
        [word for token in words for word in token], [text[a:b].lower() for a, b in there]
    )
    found: list[tuple[int, int] | None] = []
    start = 0
    for token in words:
        own = places[start : start + len(token)]
        start += len(token)
        # "x-ray" is there if "x", "-" and "ray" are, one after the other
        is_whole = bool(own) and own[0] >= 0 and own == list(range(own[0], own[0] + len(own)))
        found.append((there[own[0]][0], there[own[-1]][1]) if is_whole else None)
    return found


def part_about(graph: ReportGraph, text: str) -> ReportGraph:
    """The part of a graph that speaks of a text: of a whole report's graph that of its findings.

    Words that the text spells otherwise stay, with their entities; what lies outside the text
    goes, with relations to it.

    Args:
        graph: Of the text, or of a longer one around it.
        text: The report.

    Returns:
        The graph itself if all of it belongs to the text, or if most of the text is not in the
        graph: it is that of another report, which `kia data check` counts.
    """
    tokens = graph.text.split()
    spans = align(tokens, text)
    here = [index for index, span in enumerate(spans) if span is not None]
    covered = sum(len(_WORD.findall(tokens[index])) for index in here)
    if len(here) == len(tokens) or 2 * covered < len(_WORD.findall(text)):
        return graph
    kept = _with_gaps(here, spans, text)
    if len(kept) == len(tokens):
        return graph
    position = {old: new for new, old in enumerate(kept)}
    entities = {
        key: replace(entity, start_ix=position[entity.start_ix], end_ix=position[entity.end_ix])
        for key, entity in graph.entities.items()
        if all(index in position for index in range(entity.start_ix, entity.end_ix + 1))
    }
    return ReportGraph(
        " ".join(tokens[index] for index in kept),
        {
            key: replace(
                entity, relations=tuple(link for link in entity.relations if link[1] in entities)
            )
            for key, entity in entities.items()
        },
    )


def unaligned_entities(graph: ReportGraph, text: str) -> int:
    """Number of a graph's entities of which a word does not stand in the text."""
    spans = align(graph.text.split(), text)
    return sum(
        None in spans[entity.start_ix : entity.end_ix + 1] for entity in graph.entities.values()
    )


def _with_gaps(
    here: Sequence[int], spans: Sequence[tuple[int, int] | None], text: str
) -> list[int]:
    """Tokens that are in the text, and those between them that it spells in other words."""
    kept = [here[0]]
    for before, after in pairwise(here):
        left, right = spans[before], spans[after]
        assert left is not None and right is not None  # they are here
        instead = len(_WORD.findall(text[left[1] : right[0]]))
        if after - before - 1 <= 2 * instead:
            kept += range(before + 1, after)
        kept.append(after)
    return kept


def _places(graph: Sequence[str], text: Sequence[str]) -> list[int]:
    """For each word of a graph its place among the words of a text; −1 where it has none."""
    shared = min(len(graph), len(text))
    if graph[:shared] == text[:shared]:
        return [*range(shared), *([-1] * (len(graph) - shared))]
    if (start := _place_within(text, graph)) >= 0:
        after = len(graph) - start - len(text)
        return [*([-1] * start), *range(len(text)), *([-1] * after)]
    found = [-1] * len(graph)
    blocks = SequenceMatcher(None, graph, text, autojunk=False).get_matching_blocks()[:-1]
    for start, place, size in _in_line(blocks):
        found[start : start + size] = range(place, place + size)
    return found


def _place_within(part: Sequence[str], whole: Sequence[str]) -> int:
    """Number of words before a run of words; −1 where it is not there."""
    joined = "\n".join(["", *whole, ""])
    start = joined.find("\n".join(["", *part, ""])) if part else -1
    return -1 if start < 0 else joined.count("\n", 0, start)


def _in_line(blocks: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Runs of equal words, without the short ones that lie elsewhere than their neighbours.

    A "no" of the indication is not the "no" with which the findings begin.

    Args:
        blocks: (place in the graph, place in the text, length), in order.
    """
    if not blocks:
        return []
    longest = max(range(len(blocks)), key=lambda number: blocks[number][2])
    kept = [blocks[longest]]
    for block in blocks[longest + 1 :]:
        if block[2] >= _FEW or _gap(kept[-1], block) <= _NEAR:
            kept.append(block)
    for block in reversed(blocks[:longest]):
        if block[2] >= _FEW or _gap(block, kept[0]) <= _NEAR:
            kept.insert(0, block)
    return kept


def _gap(first: tuple[int, int, int], second: tuple[int, int, int]) -> int:
    """By how many words what lies between two runs differs in length."""
    in_graph = second[0] - first[0] - first[2]
    in_text = second[1] - first[1] - first[2]
    return abs(in_graph - in_text)
