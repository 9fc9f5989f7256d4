"""Draws tables, such as the scoreboard's: on a terminal, as Markdown and as LaTeX."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kia.evaluation.board.comparison_tables import scoreboard_tables
from kia.evaluation.board.summary import note_lines, summary_lines, warning_lines
from kia.evaluation.board.tables import (
    TEXT_COLUMNS,
    Row,
    ScoreTable,
)

_STYLES = {"model": "bold", "published": "cyan", "interval": "dim"}


@dataclass(frozen=True)
class Page:
    """Tables and what stands beside them, whatever draws them.

    Attributes:
        tables: In order.
        warnings: What must not be overlooked.
        summary: What was scored.
        notes: How numbers came about.
        version: Of kia.
    """

    tables: list[ScoreTable]
    warnings: list[str]
    summary: list[str]
    notes: list[str]
    version: str


def scoreboard_page(result: Mapping[str, Any]) -> Page:
    """The scoreboard of one system, or of several.

    Args:
        result: From `kia.evaluation.evaluate`, or read back from its JSON file.
    """
    return Page(
        scoreboard_tables(result),
        warning_lines(result),
        summary_lines(result),
        note_lines(result["notes"]),
        result["version"],
    )


def render(page: Page) -> RenderableType:
    """A page for a terminal."""
    parts: list[RenderableType] = []
    told: dict[str, None] = {}  # what was said below a table is not said again
    for table in page.tables:
        parts.append(_rich(table))
        parts += [Text(note, style="dim") for note in table.notes if note not in told]
        told |= dict.fromkeys(table.notes)
    parts += [Text(line) for line in page.summary]
    parts += [Text(line, style="bold red") for line in page.warnings]
    parts += [Text(line, style="dim") for line in page.notes]
    return Group(*parts)


def _rich(table: ScoreTable) -> Table:
    grid = Table(box=box.SIMPLE, title=table.title, padding=(0, 1, 0, 0), title_justify="left")
    for index, column in enumerate(table.columns):
        grid.add_column(
            column,
            justify="left" if index == 0 or column in TEXT_COLUMNS else "right",
            no_wrap=index == 0,
            overflow="fold",
        )
    for section in table.sections:
        for row in section:
            cells = (
                Text(cell, style="bold" if place in row.strong else "")
                for place, cell in enumerate(row.cells)
            )
            grid.add_row(Text(row.label), *cells, style=_STYLES.get(row.kind))
        grid.add_section()
    return grid


def markdown(page: Page) -> str:
    """A page as GitHub-flavoured Markdown."""
    lines: list[str] = []
    for warning in page.warnings:
        lines += [f"**{_md(warning)}**", ""]
    lines += [_md(line) for line in page.summary] + [""]
    for table in page.tables:
        lines += [f"### {_md(table.title)}", ""]
        lines.append(_md_row(table.columns))
        sides = ("---" if name in TEXT_COLUMNS else "---:" for name in table.columns[1:])
        lines.append(f"|---|{'|'.join(sides)}|")
        for section in table.sections:
            for row in section:
                label = f"**{_md(row.label)}**" if row.kind == "model" else _md(row.label.strip())
                cells = (
                    f"**{_md(cell)}**" if place in row.strong else _md(cell)
                    for place, cell in enumerate(row.cells)
                )
                lines.append("| " + " | ".join([label, *cells]) + " |")
        lines += ["", *(_md(note) + "\n" for note in table.notes)]
    lines += [f"- {_md(line)}" for line in page.notes]
    return "\n".join(lines).rstrip() + f"\n\nkia {page.version}\n"


def _md_row(cells: list[str]) -> str:
    return "| " + " | ".join(map(_md, cells)) + " |"


def _md(text: str) -> str:
    """Text that no Markdown mark can reach."""
    text = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>|~#])", r"\\\1", text)


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "’": "'",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "“": "``",
    "”": "''",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
}


_FIT = (
    r"\providecommand{\kiafit}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\ifdefined\resizebox"
    r"\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi\else\usebox0\fi}"
)
_SMALL_FROM = 6  # columns


def latex(page: Page) -> str:
    """A page as LaTeX tables (package booktabs; with graphicx none is wider than the text)."""
    parts = [rf"% kia {page.version}; \usepackage{{booktabs,graphicx}}", _FIT]
    beside = (*page.warnings, *page.summary, *page.notes)
    parts += [f"% {_tex(line)}" for line in beside]
    parts += [_tex_table(table) for table in page.tables]
    return "\n\n".join(parts) + "\n"


def _tex_table(table: ScoreTable) -> str:
    sides = "l" + "".join("l" if name in TEXT_COLUMNS else "r" for name in table.columns[1:])
    small = [r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"]
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        *(small if len(table.columns) >= _SMALL_FROM else []),
        r"\kiafit{%",
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        _tex_row(table.columns),
    ]
    for section in table.sections:
        lines += [r"\midrule", *(_tex_row([row.label.strip(), *row.cells], row) for row in section)]
    caption = " ".join([f"{table.title}.", *table.notes])
    lines += [r"\bottomrule", r"\end{tabular}}", rf"\caption{{{_tex(caption)}}}"]
    lines += [rf"\label{{tab:{_tex_key(table)}}}", r"\end{table}"]
    return "\n".join(lines)


def _tex_key(table: ScoreTable) -> str:
    """Letters, digits and hyphens, which need no care in LaTeX."""
    return re.sub(r"[^a-z0-9]+", "-", (table.key or table.title).lower()).strip("-")


def _tex_row(cells: list[str], row: Row | None = None) -> str:
    texts = [_tex(cell) for cell in cells]
    if row is not None:  # its label comes first
        strong = {place + 1 for place in row.strong}
        whole = row.kind == "model"
        texts = [
            rf"\textbf{{{text}}}" if whole or place in strong else text
            for place, text in enumerate(texts)
        ]
    return " & ".join(texts) + r" \\"


def _tex(text: str) -> str:
    """Text that pdfLaTeX sets; of what it has no letters for, such as Chinese, a question mark."""
    parts = " ".join(text.split()).split("--")  # an option's, not a dash
    return "-{}-".join("".join(_TEX.get(one) or _letter(one) for one in part) for part in parts)


def _letter(character: str) -> str:
    if character.isascii():
        return character if character.isprintable() else "?"
    if character.isalpha() and character < "\u0100":  # Latin-1
        return character
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(_TEX.get(part, part) for part in plain) or "?"
