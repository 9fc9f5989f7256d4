"""A report as HTML for notebooks: nothing is loaded, nothing runs, text is escaped."""

from collections.abc import Iterable
from html import escape

from kia.reporting.content import Content
from kia.reporting.forms import NO_REPORT

_STATES = {"abnormal": "⚠ abnormal", "uncertain": "? uncertain"}


def as_html(report: Content) -> str:
    """Flags, the report, a line an organ, the findings, and the notice."""
    parts = [f"<p><b>{escape(report.notice)}</b></p>"]
    if report.flags:
        items = "".join(f"<li>{escape(flag['message'])}</li>" for flag in report.flags)
        parts.append(f"<p>Look twice:</p><ul>{items}</ul>")
    parts.append(f"<p>{escape(NO_REPORT if report.report is None else report.report)}</p>")
    if report.structured:
        rows = (
            (organ, _STATES.get(one["state"], one["state"]), " ".join(one["sentences"]))
            for organ, one in report.structured.items()
        )
        parts.append(_table(("organ", "state", "sentences"), rows))
    if report.not_assessed:
        parts.append(f"<p>Not assessed: {escape(', '.join(report.not_assessed))}.</p>")
    if report.findings:
        found = sorted(report.findings.items(), key=lambda one: -one[1])
        table = _table(("observation", "probability"), ((n, f"{p:.3f}") for n, p in found))
        parts.append(f"<details><summary>findings</summary>{table}</details>")
    return f"<div>{''.join(parts)}</div>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
