"""Studies as HTML: every report with its claims, folded, readable without a script."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

from kia.evaluation.board.page import image
from kia.evaluation.board.studies import DENIED, JudgedReport, JudgedStudy, Mark
from kia.evaluation.clinical.claims import Claim, Key
from kia.evaluation.clinical.errors import AGREES, Judgement
from kia.evaluation.clinical.naming import DEGREES
from kia.knowledge.chexpert import OBSERVATIONS

Images = Callable[[str], Sequence[bytes]]
"""Study id → its images as PNG files, in the order of its views."""

WITH_IMAGES = 12
"""Studies that show their images: the first ones."""

_CLASSES = {
    AGREES: "ok", "missed": "mi", "invented": "in", "wrong_side": "si", "wrong_degree": "de",
    DENIED: "no", "partly": "pa",
}  # fmt: skip
_LEGEND = (
    (AGREES, "agrees with the reference"),
    ("partly", "in the reference, said by some systems (so many of all)"),
    ("missed", "missed by all"),
    ("invented", "invented"),
    ("wrong_side", "wrong side"),
    ("wrong_degree", "wrong degree"),
    (DENIED, "denies a finding of the reference"),
)


def studies_section(
    studies: Sequence[JudgedStudy], images: Images | None = None, note: str = ""
) -> list[str]:
    """Heading, legend, controls that a script switches on, and the studies.

    Args:
        studies: In order; the first `WITH_IMAGES` show their images.
        images: Where these come from.
        note: A line below the heading.
    """
    names = list(studies[0].reports)
    several = len(names) > 1
    legend = " ".join(
        f'<mark class="{_CLASSES[kind]}">'
        f"{escape(words if several else words.removesuffix(' by all'))}</mark>"
        for kind, words in _LEGEND
        if several or kind != "partly"
    )
    return [
        f'<h2 id="studies">Studies ({len(studies)})</h2>',
        f'<p class="note">{escape(note)} Numbers: the weight of a report’s errors. The heaviest '
        "come first; open a study to read its reports.</p>",
        f'<p class="legend">{legend}</p>',
        _controls(names),
        '<div id="list">',
        *(
            _study(study, images if place < WITH_IMAGES else None)
            for place, study in enumerate(studies)
        ),
        "</div>",
    ]


def _controls(names: Sequence[str]) -> str:
    """What only a script can do; hidden without one."""
    sorts = [("", "heaviest errors first"), ("id", "id")]
    sorts += [(f"w{place}", f"heaviest of {name}") for place, name in enumerate(names)]
    if len(names) > 1:
        sorts.append(("spread", "where systems differ most"))
    labels = [("", "any observation"), *((str(i), name) for i, name in enumerate(OBSERVATIONS))]
    hows = [("named", "in the reference"), ("wrong", "on which a system is wrong")]
    return (
        '<form id="controls" hidden><label>search <input id="search" type="search" '
        'placeholder="words or an id" autocomplete="off"></label>'
        f'<label>observation <select id="observation">{_options(labels)}</select></label>'
        f'<label>which is <select id="how">{_options(hows)}</select></label>'
        f'<label>order <select id="order">{_options(sorts)}</select></label>'
        '<button type="button" id="unfold">open shown</button>'
        '<button type="button" id="fold">close all</button>'
        '<output id="count" aria-live="polite"></output></form>'
    )


def _options(choices: Sequence[tuple[str, str]]) -> str:
    return "".join(
        f'<option value="{escape(value)}">{escape(name)}</option>' for value, name in choices
    )


def _study(study: JudgedStudy, images: Images | None) -> str:
    chips = "".join(
        f'<span class="chip w{_shade(report.weight)}">{escape(name)} {report.weight:g}</span>'
        for name, report in study.reports.items()
    )
    weights = " ".join(f"{report.weight:g}" for report in study.reports.values())
    return (
        f'<details class="study" data-w="{weights}" data-named="{_numbers(study.named)}" '
        f'data-wrong="{_numbers(study.wrong)}"><summary><b>{escape(study.id)}</b> {chips}</summary>'
        f"{_images(study.id, images)}{_claims(study)}"
        f'<div class="reports">{_reference(study)}{_reports(study.reports)}</div></details>'
    )


def _shade(weight: float) -> int:
    return sum(weight > limit for limit in (0, 1, 3))


def _numbers(names: frozenset[str]) -> str:
    return " ".join(str(place) for place, name in enumerate(OBSERVATIONS) if name in names)


def _images(study: str, images: Images | None) -> str:
    if images is None:
        return ""
    tags = (
        image(png, f"view {number} of study {study}") for number, png in enumerate(images(study), 1)
    )
    return f'<div class="images">{"".join(tags)}</div>'


def _claims(study: JudgedStudy) -> str:
    """A row for each finding of any report, a column for each system."""
    rows = [
        _row(claim, [report.judged[place] for report in study.reports.values()])
        for place, claim in enumerate(study.claims)
    ]
    rows += [_row(claim, found, "invented") for claim, found in _invented(study)]
    if not rows:
        return '<p class="note">No finding in any report.</p>'
    heads = "".join(f"<th>{escape(name)}</th>" for name in study.reports)
    return (
        '<div class="wide"><table><thead><tr><th>finding</th><th class="left">organ</th>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _invented(study: JudgedStudy) -> list[tuple[Claim, list[Judgement | None]]]:
    """Findings that the reference does not have, and which systems do."""
    of_report: list[dict[Key, Judgement]] = [
        {one.claim.key: one for one in report.judged[len(study.claims) :]}
        for report in study.reports.values()
    ]
    keys = dict.fromkeys(key for found in of_report for key in found)
    columns = [(key, [found.get(key) for found in of_report]) for key in keys]
    return [(next(one.claim for one in found if one), found) for _, found in columns]


def _row(claim: Claim, found: Sequence[Judgement | None], kind: str = "") -> str:
    cells = "".join(map(_cell, found))
    words = f"{_described(claim)}{', not in the reference' if kind else ''}"
    return f'<tr><td>{escape(words)}</td><td class="left">{claim.kind.organ}</td>{cells}</tr>'


def _cell(one: Judgement | None) -> str:
    if one is None:
        return "<td></td>"
    if one.kind == AGREES:
        words = "✓"
    elif one.kind == "wrong_side" and one.hyp:
        words = f"side: {_sides(one.hyp) or '–'}"
    elif one.kind == "wrong_degree" and one.hyp:
        words = f"degree: {_degrees(one.hyp)}"
    else:
        words = one.kind
    return f'<td class="{_CLASSES[one.kind]}">{escape(words)}</td>'


def _described(claim: Claim) -> str:
    """A finding with its side and degree."""
    parts = [claim.kind.name, _sides(claim), _degrees(claim), "" if claim.certain else "possible"]
    return ", ".join(filter(None, parts))


def _sides(claim: Claim) -> str:
    return "both sides" if len(claim.sides) > 1 else "".join(claim.sides)


def _degrees(claim: Claim) -> str:
    return " to ".join(DEGREES[place] for place in sorted(claim.degrees(None)))


def _reference(study: JudgedStudy) -> str:
    systems = len(study.reports)
    marks = [_reference_mark(mark, systems) for mark in study.marks]
    return f"<section><h4>reference</h4><p>{_text(study.reference, marks)}</p></section>"


def _reference_mark(mark: Mark, systems: int) -> tuple[Mark, str, str]:
    """A mark, its kind, and how many systems agree, where there are several."""
    if systems == 1:
        return mark, mark.kind, ""
    kind = {0: "missed", systems: AGREES}.get(mark.agreeing, "partly")
    return mark, kind, f"{mark.agreeing}/{systems}"


def _reports(reports: Mapping[str, JudgedReport]) -> str:
    return "".join(
        f"<section><h4>{escape(name)} <span>{report.weight:g}</span></h4>"
        f"<p>{_text(report.text, [(mark, mark.kind, '') for mark in report.marks])}</p></section>"
        for name, report in reports.items()
    )


def _text(text: str, marks: Sequence[tuple[Mark, str, str]]) -> str:
    parts, end = [], 0
    for mark, kind, behind in marks:
        note = f"<sup>{behind}</sup>" if behind else ""
        parts.append(escape(text[end : mark.start]))
        words = escape(text[mark.start : mark.end])
        parts.append(f'<mark class="{_CLASSES[kind]}">{words}{note}</mark>')
        end = mark.end
    return "".join([*parts, escape(text[end:])]) or "(empty)"
