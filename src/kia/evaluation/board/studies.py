"""Study by study: which findings each system shares with the reference, and where it says them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.clinical.claims import Claim, Reading
from kia.evaluation.clinical.efficacy import Labels, positives
from kia.evaluation.clinical.errors import AGREES, Judgement, judgements, own_claims
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.radgraph import token_spans

DENIED = "denied"
"""Mark of words that deny a finding of the reference."""


@dataclass(frozen=True)
class Mark:
    """Words of a report.

    Attributes:
        start: Of the first character.
        end: Of the last one, exclusive.
        kind: Of their judgement, or `DENIED`; in a reference of the one that most systems have.
        agreeing: In a reference, how many systems agree.
    """

    start: int
    end: int
    kind: str
    agreeing: int = 0


@dataclass(frozen=True)
class JudgedReport:
    """The report of one system.

    Attributes:
        text: Raw.
        judged: Its findings against those of the reference: those of the reference come first, in
            the same order for all systems.
        marks: In the order of the text.
    """

    text: str
    judged: tuple[Judgement, ...]
    marks: tuple[Mark, ...]

    @property
    def weight(self) -> float:
        """Of all its errors."""
        return sum(one.weight for one in self.judged)


@dataclass(frozen=True)
class JudgedStudy:
    """A study and what each system says of it.

    Attributes:
        id: Of the study.
        reference: Raw.
        claims: Findings of the reference, in the order of `JudgedReport.judged`.
        marks: Of the reference.
        reports: System → report.
        named: Observations that the reference has as present or uncertain.
        wrong: Observations on which some system differs (uncertain as absent).
    """

    id: str
    reference: str
    claims: tuple[Claim, ...]
    marks: tuple[Mark, ...]
    reports: Mapping[str, JudgedReport]
    named: frozenset[str]
    wrong: frozenset[str]


def judged_studies(evaluation: Evaluation, systems: Mapping[str, str]) -> list[JudgedStudy]:
    """All studies, those with the heaviest errors first.

    Args:
        evaluation: That scored them.
        systems: Name to show → name in the evaluation.
    """
    refs = evaluation.references_read()
    hyps = {name: evaluation.read(own) for name, own in systems.items()}
    texts = {name: evaluation.pairs(own)[0] for name, own in systems.items()}
    named, wrong = _observations(evaluation, systems.values())
    studies = []
    for row, (id_, ref) in enumerate(zip(evaluation.ids, refs, strict=True)):
        reports = {name: _judged(texts[name][row], hyps[name][row], ref) for name in systems}
        text = evaluation.references.reports[id_]
        claims = tuple(own_claims(ref.claims))
        marks = _reference_marks(text, claims, list(reports.values()))
        studies.append(JudgedStudy(id_, text, claims, marks, reports, named[row], wrong[row]))
    studies.sort(key=lambda study: -sum(one.weight for one in study.reports.values()))
    return studies


def _judged(text: str, hyp: Reading, ref: Reading) -> JudgedReport:
    judged = tuple(judgements(hyp.claims, ref.claims))
    kinds = {one.hyp.key: one.kind for one in judged if one.hyp is not None}
    places = [
        (mention.spans, kinds.get(claim.key, AGREES))
        for claim in own_claims(hyp.claims)
        for mention in claim.mentions
    ]
    places += [
        (hyp.denied[one.ref.key], DENIED)
        for one in judged
        if one.kind == "missed" and one.ref is not None and one.ref.key in hyp.denied
    ]
    tokens = token_spans(text)
    marks = [Mark(*span, kind) for spans, kind in places for span in _places(spans, text, tokens)]
    return JudgedReport(text, judged, _apart(marks))


def _reference_marks(
    text: str, claims: Sequence[Claim], reports: Sequence[JudgedReport]
) -> tuple[Mark, ...]:
    tokens = token_spans(text)
    marks = []
    for place, claim in enumerate(claims):
        kinds = [report.judged[place].kind for report in reports]
        agreeing = kinds.count(AGREES)
        kind = AGREES if agreeing == len(kinds) else max(kinds, key=kinds.count)
        for mention in claim.mentions:
            spans = _places(mention.spans, text, tokens)
            marks += [Mark(*span, kind, agreeing) for span in spans]
    return _apart(marks)


def _places(
    spans: Iterable[tuple[int, int]], text: str, tokens: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Characters of tokens; neighbours are joined. Nothing if they are of another text."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if last >= len(tokens):
            return []
        start, end = tokens[first][0], tokens[last][1]
        if found and not text[found[-1][1] : start].strip():
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _apart(marks: Iterable[Mark]) -> tuple[Mark, ...]:
    """In order, without those that begin within another."""
    kept: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.start, -mark.end)):
        if not kept or mark.start >= kept[-1].end:
            kept.append(mark)
    return tuple(kept)


def _observations(
    evaluation: Evaluation, systems: Iterable[str]
) -> tuple[list[frozenset[str]], list[frozenset[str]]]:
    refs = evaluation.reference_labels()
    true = positives(refs, "uncertain_negative")
    off = sum(
        positives(evaluation.labels(name), "uncertain_negative") != true for name in systems
    )  # studies × observations
    wrong = [
        frozenset(name for name, count in zip(OBSERVATIONS, row, strict=True) if count)
        for row in (off > 0)
    ]
    return [_named(labels) for labels in refs], wrong


def _named(labels: Labels) -> frozenset[str]:
    return frozenset(name for name in OBSERVATIONS if labels.get(name) in (1, -1))
