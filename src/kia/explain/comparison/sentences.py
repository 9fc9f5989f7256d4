"""Reports side by side: which sentences say the same as the reference, and which contradict it.

Paper: Fig. 6 and 11 (same colour, underlined); there by hand, here by the definitions below.

A sentence says the same as one of the reference if they agree on at least half of the statements
of the one that makes fewer (`statements.agree`), and contradict each other in none. Sentences
without a known word are the same if their words are.

A sentence contradicts one of the reference if a statement of each conflict
(`statements.conflict`), and neither is said in the other report (`statements.says`): with effusions
on both sides in both reports, "left" does not contradict "right".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kia.evaluation.priors import sentences
from kia.evaluation.statistics.intervals import Measure
from kia.knowledge.stated import Statement, agree, conflict, says, statements


@dataclass(frozen=True)
class ComparedSentence:
    """A sentence of a report beside the reference.

    Attributes:
        text: As written.
        same: Places (from 0) of the reference's sentences that say the same, best first.
        against: Place of a reference's sentence that it contradicts → "presence", "place" or
            "severity".
    """

    text: str
    same: tuple[int, ...]
    against: Mapping[int, str]


def compare_reports(report: str, reference: str) -> list[ComparedSentence]:
    """The sentences of a report, each with what it has to do with the reference.

    Args:
        report: Raw, of any origin.
        reference: Raw.
    """
    said, true = sentences(report), sentences(reference)
    ours, theirs = [statements(one) for one in said], [statements(one) for one in true]
    all_ours, all_theirs = [s for one in ours for s in one], [s for one in theirs for s in one]
    compared = []
    for text, here in zip(said, ours, strict=True):
        scored, against = [], {}
        for place, (other, there) in enumerate(zip(true, theirs, strict=True)):
            clash = _clash(here, there)
            if clash is None:
                scored.append((_sameness(text, other, here, there), -place))
            elif kind := _clash(_unsaid(here, all_theirs), _unsaid(there, all_ours)):
                against[place] = kind
        same = tuple(-place for score, place in sorted(scored, reverse=True) if score)
        compared.append(ComparedSentence(text, same, against))
    return compared


def _clash(here: Sequence[Statement], there: Sequence[Statement]) -> str | None:
    """The first way in which statements of two sentences conflict."""
    kinds = (conflict(one, other) for one in here for other in there)
    return next((kind for kind in kinds if kind), None)


def _unsaid(own: Sequence[Statement], others: Sequence[Statement]) -> list[Statement]:
    return [one for one in own if not any(says(other, one) for other in others)]


def _sameness(
    text: str, other: str, here: Sequence[Statement], there: Sequence[Statement]
) -> float:
    """0 if two sentences without a conflict do not say the same; larger is nearer."""
    if (words := _words(text)) == _words(other):
        return 3.0
    own, his = ([one for one in side if not one.implied] for side in (here, there))
    common = min(
        sum(any(agree(one, two) for two in his) for one in own),
        sum(any(agree(one, two) for one in own) for two in his),
    )
    if not common or 2 * common < min(len(own), len(his)):
        return 0.0
    overlap = len(set(words) & set(_words(other))) / len(set(words) | set(_words(other)))
    return 2 * common / (len(own) + len(his)) + overlap


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def comparison_measure(reports: Sequence[str], references: Sequence[str]) -> Measure:
    """How much of the references a system's reports say, ready to be resampled over studies.

    Args:
        reports: Raw reports of one system.
        references: Same length and order.

    Returns:
        A measure of shares: "said", of the reference's sentences that a sentence of the report
        says too; "supported", of the report's sentences that say the same as one of the
        reference; "contradicting", of the report's sentences that contradict one. NaN where there
        is no sentence at all.
    """
    rows = [_counts(one, other) for one, other in zip(reports, references, strict=True)]
    return Measure(np.array(rows, float).reshape(-1, 5), _shares)


def _counts(report: str, reference: str) -> tuple[int, ...]:
    compared = compare_reports(report, reference)
    said = {place for one in compared for place in one.same}
    supported = sum(bool(one.same) and not one.against for one in compared)
    contradicting = sum(bool(one.against) for one in compared)
    return len(said), len(sentences(reference)), supported, contradicting, len(compared)


def _shares(sums: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore"):
        return {
            "said": sums[:, 0] / sums[:, 1],
            "supported": sums[:, 2] / sums[:, 4],
            "contradicting": sums[:, 3] / sums[:, 4],
        }
