"""RadGraph-F1: do two reports state the same entities and relations?

Source: Delbrouck et al., Findings of EMNLP 2022, as the package `radgraph` computes it
(`rewards.py`). Letter case counts for nothing here; of lower-case reports, as the package's own
example has them, the scores are equal.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from kia.errors import DataError
from kia.evaluation.statistics.intervals import Measure
from kia.knowledge.radgraph import Entity, ReportGraph

LEVELS = ("simple", "partial", "complete")
"""simple: entities and their labels; partial: also whether an entity has a relation;
complete: also the relation and the entity that it leads to."""


class GraphFacts(NamedTuple):
    """What a graph states, at the three levels of `LEVELS`."""

    simple: frozenset[Hashable]
    partial: frozenset[Hashable]
    complete: frozenset[Hashable]


def graph_facts(graph: ReportGraph) -> GraphFacts:
    """The sets of facts that RadGraph-F1 compares; a fact stated twice counts once."""
    simple: set[Hashable] = set()
    partial: set[Hashable] = set()
    complete: set[Hashable] = set()
    for entity in graph.entities.values():
        fact = (entity.tokens.lower(), entity.label)
        simple.add(fact)
        partial.add((*fact, bool(entity.relations)))
        complete |= _relations(entity, fact, graph) or {fact}
    return GraphFacts(frozenset(simple), frozenset(partial), frozenset(complete))


def _relations(entity: Entity, fact: tuple[str, str], graph: ReportGraph) -> set[Hashable]:
    return {
        (*fact, relation, graph.entities[target].tokens.lower())
        for relation, target in entity.relations
    }


def radgraph_f1(hyp: ReportGraph, ref: ReportGraph) -> tuple[float, float, float]:
    """F1 of the facts of a generated report at the three levels of `LEVELS`, 0–1.

    Two reports without entities score 0, as in the package.
    """
    return _f1(graph_facts(hyp), graph_facts(ref))


def _f1(hyp: GraphFacts, ref: GraphFacts) -> tuple[float, float, float]:
    simple, partial, complete = (
        2 * len(said & true) / max(len(said) + len(true), 1)
        for said, true in zip(hyp, ref, strict=True)
    )
    return simple, partial, complete


def graph_measure(hyps: Sequence[ReportGraph], refs: Sequence[ReportGraph]) -> Measure:
    """RadGraph-F1 as the mean over studies, ready to be resampled.

    Args:
        hyps: Graphs of the generated reports.
        refs: Graphs of the references, same length and order.

    Returns:
        A measure with the values of `LEVELS`; its statistics are each study's scores and a one.

    Raises:
        DataError: The lengths differ or are 0.
    """
    if len(hyps) != len(refs) or not refs:
        raise DataError(f"graphs of {len(hyps)} reports for {len(refs)} references")
    different = {id(graph): graph for graph in (*hyps, *refs)}  # a constant occurs often
    facts = {number: graph_facts(graph) for number, graph in different.items()}
    rows = [_f1(facts[id(hyp)], facts[id(ref)]) for hyp, ref in zip(hyps, refs, strict=True)]
    return Measure(np.column_stack([rows, np.ones(len(rows))]), _means)


def _means(sums: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(LEVELS, sums[:, :-1].T / sums[:, -1], strict=True))
