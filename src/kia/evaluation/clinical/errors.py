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

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kia.errors import DataError
from kia.evaluation.clinical.claims import Claim, Key, Reading
from kia.evaluation.clinical.naming import LEXICON
from kia.evaluation.statistics.intervals import Measure
from kia.knowledge.organs import HEART, LUNGS, ORGANS, OTHER

KINDS = ("missed", "invented", "wrong_side", "wrong_degree")
"""Kinds of errors."""

AGREES = "agrees"

_SLIGHT, _SEVERE, _POSSIBLE, _STEP = 0.5, 1.5, 0.5, 0.5
_NEAR = frozenset({LUNGS, HEART})  # failure of the one shows in the other

Claims = Mapping[Key, Claim]


def _same() -> dict[str, frozenset[str]]:
    """Name → names that stand for it."""
    found: dict[str, set[str]] = {}
    for name, others in LEXICON["same"].items():
        for other in others:
            found.setdefault(name, set()).add(other)
            found.setdefault(other, set()).add(name)
    return {name: frozenset(others) for name, others in found.items()}


_SAME = _same()


class Judgement(NamedTuple):
    """A finding of one report or of both, and whether they agree on it.

    Attributes:
        kind: One of `KINDS`, or `AGREES`.
        weight: How grave it is, 0.25–4.5; 0 where they agree.
        ref: The claim of the reference; None if it was invented.
        hyp: The claim of the generated report; None if it was missed.
    """

    kind: str
    weight: float
    ref: Claim | None
    hyp: Claim | None

    @property
    def claim(self) -> Claim:
        """That of the reference, where it has one."""
        found = self.ref or self.hyp
        assert found is not None
        return found

    @property
    def organ(self) -> str:
        """One of `kia.knowledge.organs.ORGANS`."""
        return self.claim.kind.organ


def judgements(hyp: Claims, ref: Claims) -> list[Judgement]:
    """Each finding of the reference, then what the generated report invents.

    Args:
        hyp: Claims of the generated report.
        ref: Claims of the reference.
    """
    found = []
    for claim in own_claims(ref):
        partner = _partner(claim, ref, hyp)
        if partner is None:
            found.append(Judgement("missed", weight(claim), claim, None))
        else:
            found.append(_compared(claim, partner))
    for claim in own_claims(hyp):
        if _partner(claim, hyp, ref) is None:
            found.append(Judgement("invented", weight(claim), None, claim))
    return found


def report_errors(hyp: Claims, ref: Claims) -> list[Judgement]:
    """Those of `judgements` that are errors."""
    return [one for one in judgements(hyp, ref) if one.kind != AGREES]


def weight(claim: Claim) -> float:
    """What it weighs to miss or to invent a finding."""
    degrees = claim.degrees(None)
    factor = {0: _SLIGHT, 2: _SEVERE}.get(max(degrees, default=1), 1.0)
    return claim.kind.grade * factor * (1.0 if claim.certain else _POSSIBLE)


def own_claims(claims: Claims) -> list[Claim]:
    """Those that are more than what another one suggests."""
    suggested = {
        key
        for claim in claims.values()
        for key in claim.suggests
        if not claims[key].on_its_own
        and claim.key not in claims[key].suggests
        and _belongs(claims[key], claim)
    }
    return [claim for key, claim in claims.items() if key not in suggested]


def _belongs(suggested: Claim, claim: Claim) -> bool:
    """Whether what a finding suggests is the same thing: not the effusion behind an atelectasis."""
    organs = {suggested.kind.organ, claim.kind.organ}
    return len(organs) == 1 or organs <= _NEAR or not suggested.kind.bound


def _partner(claim: Claim, side: Claims, others: Claims) -> Claim | None:
    """What the other report has of a finding: the same, what stands for it, what it suggests."""
    same = [other for other in others.values() if _are_one(claim, other)]
    if same:
        return same[0]
    suggested = [side[key] for key in claim.suggests if _belongs(side[key], claim)]
    near = [
        other
        for other in others.values()
        if claim.key in other.suggests
        or any(_are_one(one, other) for one in suggested)
        or any(_stand_for_each_other(one, other) for one in (claim, *suggested))
    ]
    return min(near, key=lambda other: _sides_differ(claim, other), default=None)


def _are_one(one: Claim, other: Claim) -> bool:
    organs = one.kind.organ, other.kind.organ
    return one.kind.name == other.kind.name and (organs[0] == organs[1] or OTHER in organs)


def _stand_for_each_other(one: Claim, other: Claim) -> bool:
    places_fit = one.kind.bound or other.kind.bound or one.kind.organ == other.kind.organ
    return places_fit and other.kind.name in _SAME.get(one.kind.name, ())


def _sides_differ(one: Claim, other: Claim) -> bool:
    return bool(one.sides and other.sides and one.sides != other.sides)


def _compared(ref: Claim, hyp: Claim) -> Judgement:
    """Whether side, else degree, of a finding that both reports have is right."""
    if _sides_differ(ref, hyp):
        return Judgement("wrong_side", float(ref.kind.grade), ref, hyp)
    sides: list[str | None] = [*sorted(ref.sides | hyp.sides)] or [None]
    steps = max(_steps(ref.degrees(side), hyp.degrees(side)) for side in sides)
    kind = "wrong_degree" if steps else AGREES
    return Judgement(kind, ref.kind.grade * _STEP * steps, ref, hyp)


def _steps(one: frozenset[int], other: frozenset[int]) -> int:
    """Steps between two ranges of degrees; 0 if they meet, or one is unknown."""
    if not one or not other:
        return 0
    return max(min(one) - max(other), min(other) - max(one), 0)


_CELLS = [(organ, kind) for organ in ORGANS for kind in KINDS]


def error_measure(hyps: Sequence[Reading], refs: Sequence[Reading]) -> Measure:
    """Errors a study, ready to be resampled.

    Args:
        hyps: What the generated reports say.
        refs: What the references say, same length and order.

    Returns:
        A measure with means over the studies: "count" and "weight" of all errors, "silence" (the
        weight of a report that says nothing), `<kind>.count` and `<kind>.weight`, and of each organ
        `organs.<organ>.count`, `….weight` and `….<kind>`, a count.

    Raises:
        DataError: The lengths differ or are 0.
    """
    if len(hyps) != len(refs) or not refs:
        raise DataError(f"claims of {len(hyps)} reports for {len(refs)} references")
    rows = np.zeros((len(refs), 2 * len(_CELLS) + 2))
    place = {cell: column for column, cell in enumerate(_CELLS)}
    for row, hyp, ref in zip(rows, hyps, refs, strict=True):
        for error in report_errors(hyp.claims, ref.claims):
            column = place[error.organ, error.kind]
            row[column] += 1
            row[len(_CELLS) + column] += error.weight
        row[-2:] = sum(map(weight, own_claims(ref.claims))), 1
    return Measure(rows, _a_study)


def _a_study(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Summed errors, (R, 50) → means over the studies, (R,) each."""
    means = sums[:, :-1] / sums[:, -1:]
    counts, weights = (
        part.reshape(-1, len(ORGANS), len(KINDS)) for part in np.split(means[:, :-1], 2, axis=1)
    )
    values = {"count": counts.sum((1, 2)), "weight": weights.sum((1, 2)), "silence": means[:, -1]}
    for index, kind in enumerate(KINDS):
        values[f"{kind}.count"] = counts[:, :, index].sum(1)
        values[f"{kind}.weight"] = weights[:, :, index].sum(1)
    for index, organ in enumerate(ORGANS):
        values[f"organs.{organ}.count"] = counts[:, index].sum(1)
        values[f"organs.{organ}.weight"] = weights[:, index].sum(1)
        for column, kind in enumerate(KINDS):
            values[f"organs.{organ}.{kind}"] = counts[:, index, column]
    return values
