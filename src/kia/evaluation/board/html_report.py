"""The scoreboard as one HTML file: tables, bars by observation, worst cases, all studies.

It opens without a server or network and loads nothing; every text is escaped. Its one script
(`assets/report.js`) sorts, filters and searches what is there: all of it can be read without. It
holds reports and images, so it is patient data wherever these are.
"""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from kia.evaluation.board.comparison_tables import scoreboard_tables
from kia.evaluation.board.observation_table import observation_table
from kia.evaluation.board.page import image, page
from kia.evaluation.board.studies import JudgedStudy
from kia.evaluation.board.study_html import Images, studies_section
from kia.evaluation.board.summary import note_lines, summary_lines, warning_lines
from kia.evaluation.board.tables import TEXT_COLUMNS, Row, ScoreTable
from kia.evaluation.cases import Case
from kia.evaluation.matching import match_sentences

_COLOURS = ("#cfe8ff", "#d9f2d0", "#ffe3c2", "#eadcf8", "#fff3b0", "#ffd6dc", "#cdeeea", "#e6e2d3")


def html_report(
    result: Mapping[str, Any],
    cases: Sequence[Case] = (),
    images: Images | None = None,
    studies: Sequence[JudgedStudy] = (),
) -> str:
    """The whole page.

    Args:
        result: From `kia.evaluation.board.scoreboard`.
        cases: From `kia.evaluation.board.scoreboard.Evaluation.worst_cases`.
        images: Where the images of the cases, or without cases of the first studies, come from;
            none are shown without.
        studies: From `kia.evaluation.board.studies.judged_studies`.
    """
    title = f"Evaluation of {result['name']}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _links(bool(studies)),
        '<p class="note">Research only; not for clinical use. '
        f"kia {escape(result['version'])}{_data_set(result)}</p>",
        *(f'<p class="warning">{escape(line)}</p>' for line in warning_lines(result)),
        *(f"<p>{escape(line)}</p>" for line in summary_lines(result)),
    ]
    for table in scoreboard_tables(result):
        parts.append(_table(table))
        if table.title.startswith("Observations"):
            parts.append(_bars(result))
    if "systems" in result:
        parts.append(_table(observation_table(result)))
    if cases:
        parts.append(_cases(cases, images))
    if studies:
        parts += studies_section(studies, None if cases else images, _whose(result))
    parts.append('<h2 id="notes">Notes</h2>')
    parts += [f'<p class="note">{escape(line)}</p>' for line in note_lines(result["notes"])]
    return page(title, parts, _asset("report.css"), _asset("report.js"))


def _asset(name: str) -> str:
    file = resources.files("kia.evaluation.board") / "assets" / name
    return file.read_text(encoding="utf-8")


def _links(studies: bool) -> str:
    names = ["studies", "notes"] if studies else ["notes"]
    links = (f'<a href="#{name}">{name}</a>' for name in names)
    return f"<nav>{''.join(links)}</nav>"


def _whose(result: Mapping[str, Any]) -> str:
    """Who read the claims of the studies."""
    systems = result.get("systems", {})
    first = next(iter(systems.values()), result)
    several = any("runs" in found for found in systems.values())
    runs = " Of a system with several runs the first is shown." if several else ""
    return f"Findings as {first['graph_sources']['clinical_errors']} reads them.{runs}"


def _data_set(result: Mapping[str, Any]) -> str:
    origin = result["dataset"]
    shown = [str(origin[key]) for key in ("source", "split", "hash") if origin.get(key)]
    return f" · data set {escape(', '.join(shown))}" if shown else ""


def _table(table: ScoreTable) -> str:
    sides = [' class="left"' if column in TEXT_COLUMNS else "" for column in table.columns]
    head = "".join(
        f"<th{side}>{escape(column)}</th>"
        for side, column in zip(sides, table.columns, strict=True)
    )
    bodies = []
    for section in table.sections:
        bodies.append(f"<tbody>{''.join(_row(row, sides) for row in section)}</tbody>")
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide"><table class="sortable"><thead>'
        f"<tr>{head}</tr></thead>{''.join(bodies)}</table></div>{notes}"
    )


def _row(row: Row, sides: Sequence[str]) -> str:
    cells = [escape(cell.strip()) for cell in (row.label, *row.cells)]
    for place in row.strong:
        cells[place + 1] = f"<b>{cells[place + 1]}</b>"
    shown = (f"<td{side}>{cell}</td>" for side, cell in zip(sides, cells, strict=True))
    return f'<tr class="{escape(row.kind)}">{"".join(shown)}</tr>'


_NAME_WIDTH, _BAR_WIDTH, _BAR_HEIGHT = 210, 620, 24


def _bars(result: Mapping[str, Any]) -> str:
    """F1 of each observation with its interval; precision and recall as marks."""
    found = result["clinical"]["uncertain_negative"]["observations"]
    doubt = (result["confidence"] or {}).get("clinical", {}).get("uncertain_negative", {})
    intervals = doubt.get("observations", {})
    rows = sorted(found.items(), key=lambda item: -item[1]["support"])
    height = _BAR_HEIGHT * len(rows) + 30
    width = _NAME_WIDTH + _BAR_WIDTH + 150
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="F1 by observation">']
    for tick in range(0, 11, 2):
        x = _x(tick / 10)
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="4" y2="{height - 24}" class="grid"/>'
            f'<text class="small" x="{x}" y="{height - 8}" text-anchor="middle">{tick / 10}</text>'
        )
    for index, (name, scores) in enumerate(rows):
        parts.append(_bar(index, name, scores, (intervals.get(name) or {}).get("f1")))
    legend = (
        "Bars: F1, uncertain as absent, by falling support; lines: 95 % intervals; ○ precision, "
        "× recall."
    )
    return "".join(parts) + f'</svg><p class="note">{legend}</p>'


def _x(value: float) -> float:
    return round(_NAME_WIDTH + _BAR_WIDTH * value, 1)


def _bar(
    index: int, name: str, scores: Mapping[str, float], interval: Sequence[float] | None
) -> str:
    top = 6 + _BAR_HEIGHT * index
    middle = top + 8
    parts = [
        f'<text x="{_NAME_WIDTH - 10}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_NAME_WIDTH}" y="{top}" width="{round(_BAR_WIDTH * scores["f1"], 1)}" '
        'height="16" class="bar"/>',
        f'<circle cx="{_x(scores["precision"])}" cy="{middle}" r="4" fill="none" class="mark"/>',
        f'<text x="{_x(scores["recall"])}" y="{middle + 5}" text-anchor="middle">×</text>',
        f'<text class="small" x="{_x(1) + 14}" y="{middle + 5}">{scores["f1"]:.3f}, '
        f"support {scores['support']:g}</text>",
    ]
    if interval:
        low, high = map(_x, interval)
        parts.append(
            f'<line x1="{low}" x2="{high}" y1="{middle}" y2="{middle}" class="interval" '
            'stroke-width="2"/>'
        )
    return "".join(parts)


def _cases(cases: Sequence[Case], images: Images | None) -> str:
    intro = (
        "Most wrong observations first (uncertain as absent), then lowest graph-F1 by kia. "
        "Sentences of one colour and number agree in most of their words and both deny, or neither."
    )
    shown = "".join(_case(case, images) for case in cases)
    return f'<h2>Worst cases</h2><p class="note">{intro}</p>{shown}'


def _case(case: Case, images: Images | None) -> str:
    matched = match_sentences(case.hyp, case.ref)
    scores = f"graph-F1 by kia {case.graph_f1:.3f}"
    if case.cider is not None:
        scores += f", CIDEr {case.cider:.3f}"
    badges = [f'<span class="badge missed">missed: {escape(name)}</span>' for name in case.missed]
    badges += [
        f'<span class="badge invented">invented: {escape(name)}</span>' for name in case.invented
    ]
    return (
        f'<div class="case"><div class="id">{escape(case.id)} · {scores}</div>{"".join(badges)}'
        f"{_images(case.id, images)}"
        f'<div class="reports"><div><h4>reference</h4>{_sentences(matched.ref)}</div>'
        f"<div><h4>generated</h4>{_sentences(matched.hyp)}</div></div></div>"
    )


def _images(study: str, images: Images | None) -> str:
    if images is None:
        return ""
    tags = (
        image(png, f"view {number} of study {study}") for number, png in enumerate(images(study), 1)
    )
    return f'<div class="images">{"".join(tags)}</div>'


def _sentences(sentences: Sequence[tuple[str, int | None]]) -> str:
    shown = []
    for text, pair in sentences:
        if pair is None:
            shown.append(f"<span>{escape(text)}</span>")
        else:
            colour = _COLOURS[pair % len(_COLOURS)]
            shown.append(
                f'<span class="pair" style="background:{colour}">{escape(text)}'
                f"<sup>{pair + 1}</sup></span>"
            )
    return f"<p>{' '.join(shown) or '(empty)'}</p>"
