"""Errors of a report against its reference, by kind and organ, weighed by how grave they are.

A finding is something abnormal, or a device, that a report has as present or possible; both sides
are read from graphs (`claims.py`). Of its kinds of errors

- **missed**: the generated report does not have a finding of the reference (or denies it);
- **invented**: it has one that the reference does not have;
- **wrong side**: both have it, and the sides that they name differ ("left" and "bilateral" too);
- **wrong degree**: both have it on the same side, one slight (trace, small, mild …), the other
  moderate or severe (large, marked …).

A side or degree that one of them does not name fits any. Words that stand for each other
(`findings.yaml`: consolidation and pneumonia, opacity and atelectasis …) are one finding here, and
what a finding is said to suggest belongs to it: "opacity, probably pneumonia" is one. Normal
findings, changes since an earlier study and positions of devices are not judged.

Weights: a finding has a grade, 3 (changes what is done now: pneumothorax, free air, mass …), 2
(needs attention: effusion, consolidation, cardiomegaly …) or 1 (minor, chronic, devices). What is
missed or invented weighs its grade, half of that if slight, half more if severe, and half of that
if it is only possible. A wrong side weighs the grade, a wrong degree half of it for each step.

Ours. ReXVal (Yu et al., Patterns 2023, behind RadCliQ) and GREEN (Ostmeier et al., Findings of
EMNLP 2024) count the same kinds, and two of comparisons with an earlier study, and have a
radiologist or a language model say which are significant; see docs/evaluation.md.
"""

from collections.abc import Mapping
from typing import NamedTuple

from kia.evaluation.clinical.claims import LEXICON, Claim
from kia.knowledge.organs import HEART, LUNGS, ORGANS

KINDS = ("missed", "invented", "wrong_side", "wrong_degree")
"""Kinds of errors."""

_SLIGHT, _SEVERE, _POSSIBLE, _STEP = 0.5, 1.5, 0.5, 0.5
_NEAR = frozenset({LUNGS, HEART})  # failure of the one shows in the other

Claims = Mapping[str, Claim]


def _same() -> dict[str, frozenset[str]]:
    """Name → names that stand for it."""
    found: dict[str, set[str]] = {}
    for name, others in LEXICON["same"].items():
        for other in others:
            found.setdefault(name, set()).add(other)
            found.setdefault(other, set()).add(name)
    return {name: frozenset(others) for name, others in found.items()}


_SAME = _same()


class ReportError(NamedTuple):
    """An error of a report.

    Attributes:
        kind: One of `KINDS`.
        organ: One of `kia.knowledge.organs.ORGANS`.
        weight: How grave it is, 0.25–4.5.
        finding: What it is about; its name in the reference unless it was invented.
        said: The name in the generated report; "" if it was missed.
    """

    kind: str
    organ: str
    weight: float
    finding: str
    said: str = ""


def report_errors(hyp: Claims, ref: Claims) -> list[ReportError]:
    """The errors of a generated report, those of the reference's findings first.

    Args:
        hyp: Claims of the generated report.
        ref: Claims of the reference.
    """
    errors = []
    for claim in _own(ref):
        partner = _partner(claim, ref, hyp)
        if partner is None:
            errors.append(ReportError("missed", claim.organ, weight(claim), claim.name))
        elif found := _difference(claim, partner):
            errors.append(found)
    for claim in _own(hyp):
        if _partner(claim, hyp, ref) is None:
            errors.append(
                ReportError("invented", claim.organ, weight(claim), claim.name, claim.name)
            )
    return errors


def weight(claim: Claim) -> float:
    """What it weighs to miss or to invent a finding."""
    degrees = claim.degrees(None)
    factor = {0: _SLIGHT, 2: _SEVERE}.get(max(degrees, default=1), 1.0)
    return claim.grade * factor * (1.0 if claim.certain else _POSSIBLE)


def _own(claims: Claims) -> list[Claim]:
    """Those that no other one suggests."""
    suggested = {
        name
        for claim in claims.values()
        for name in claim.suggests
        if _belongs(claims[name], claim) and claim.name not in claims[name].suggests
    }
    return [claim for name, claim in claims.items() if name not in suggested]


def _belongs(suggested: Claim, claim: Claim) -> bool:
    return suggested.organ == claim.organ or {suggested.organ, claim.organ} <= _NEAR


def _partner(claim: Claim, side: Claims, others: Claims) -> Claim | None:
    """What the other report has of a finding: the same, what stands for it, what it suggests."""
    if (found := others.get(claim.name)) and _one_place(found, claim):
        return found
    suggested = [n for n in claim.suggests if n in side and _belongs(side[n], claim)]
    names = [claim.name, *sorted(suggested)]
    near = [*names[1:], *(other for name in names for other in sorted(_SAME.get(name, ())))]
    found_near = [others[name] for name in near if name in others]
    found_near += [other for other in others.values() if claim.name in other.suggests]
    found_near.sort(key=lambda other: _sides_differ(claim, other))  # those of the same side first
    return found_near[0] if found_near else None


def _one_place(one: Claim, other: Claim) -> bool:
    """A mass of the lung is not one of the mediastinum."""
    return one.organ == other.organ or ORGANS[-1] in (one.organ, other.organ)


def _sides_differ(one: Claim, other: Claim) -> bool:
    return bool(one.sides and other.sides and one.sides != other.sides)


def _difference(ref: Claim, hyp: Claim) -> ReportError | None:
    """The wrong side, else the wrong degree, of a finding that both reports have."""
    if _sides_differ(ref, hyp):
        return ReportError("wrong_side", ref.organ, float(ref.grade), ref.name, hyp.name)
    sides: list[str | None] = [*sorted(ref.sides | hyp.sides)] or [None]
    steps = max(_steps(ref.degrees(side), hyp.degrees(side)) for side in sides)
    if not steps:
        return None
    return ReportError("wrong_degree", ref.organ, ref.grade * _STEP * steps, ref.name, hyp.name)


def _steps(one: frozenset[int], other: frozenset[int]) -> int:
    """Steps between two ranges of degrees; 0 if they meet, or one is unknown."""
    if not one or not other:
        return 0
    return max(min(one) - max(other), min(other) - max(one), 0)
