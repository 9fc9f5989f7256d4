"""A report as text and as JSON: functions of a `Content` alone."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from kia.errors import UsageError
from kia.imaging.pictures import read_record
from kia.reporting.content import Content

Form = Literal["prose", "structured"]

FORMS: tuple[Form, ...] = get_args(Form)
NO_REPORT = "No report: this is probably no chest X-ray."


def as_record(report: Content) -> dict[str, Any]:
    """A report as `kia generate --json` and the server write it; see docs/generating.md."""
    return {
        **read_record(report.images, report.facts, report.flags),
        "report": report.report,
        "raw": report.raw,
        "structured": report.structured and dict(report.structured),
        "match": report.match,
        "candidates": list(report.candidates),
        "notice": report.notice,
        "sentences": list(report.evidence),
        "findings": report.findings and dict(report.findings),
        "claims": list(report.claims),
        "not_assessed": list(report.not_assessed),
        "model": {"name": report.writer.name, "kia": report.writer.kia},
    }


def as_text(report: Content, form: str = "prose", *, marks: bool = False) -> str:
    """A report as text.

    Args:
        report: Any.
        form: "prose", or "structured": a line an organ, with its state.
        marks: Whether sentences that the label task disputes are marked.

    Raises:
        UsageError: There is no such form.
    """
    if form not in FORMS:
        raise UsageError(f"form {form}: use {' or '.join(FORMS)}")
    if report.report is None or report.structured is None:
        return NO_REPORT
    shown = [_marked(one) if marks else str(one["text"]) for one in report.evidence]
    if form == "prose":
        text = " ".join(shown) if marks and _disputed(report.evidence) else report.report
        lines = [text]
    else:
        lines = [
            f"{organ[0].upper()}{organ[1:]}: "
            + ". ".join([one["state"], " ".join(shown[n] for n in one["evidence"])]).rstrip(". ")
            + "."
            for organ, one in report.structured.items()
        ]
    if report.not_assessed:
        lines.append(f"Not assessed: {', '.join(report.not_assessed)}.")
    return "\n".join(lines)


def answers(sentence: Mapping[str, Any], agrees: bool | None) -> str:
    """What the label task answers to a sentence.

    Args:
        sentence: Of `Content.evidence`.
        agrees: Where it agrees, where it does not, or (None) where the sentence leaves it open.
    """
    return ", ".join(
        f"{one['observation']} {'present' if one['present'] > 0.5 else 'absent'} "
        f"{max(one['present'], 1 - one['present']):.2f}"
        for one in sentence["opinions"]
        if one["agrees"] is agrees
    )


def _disputed(evidence: Sequence[Mapping[str, Any]]) -> bool:
    return any(one["agrees"] is False for one in evidence)


def _marked(sentence: Mapping[str, Any]) -> str:
    if sentence["agrees"] is not False:
        return str(sentence["text"])
    return f"{sentence['text']} [disputed: {answers(sentence, False)}]"
