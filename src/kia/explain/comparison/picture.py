"""Compared reports of one study as a picture (Paper: Fig. 6, 11)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from kia.errors import require
from kia.explain.comparison.page import colour_of, marks, reference_sentences, shown_text
from kia.explain.comparison.sentences import ComparedSentence, compare_reports

_WIDTH, _MARGIN, _GAP = 460, 24, 36  # pixels; of a column, around all, between columns
_SIZE, _SMALL, _LINE = 17, 12, 29
_Font = ImageFont.FreeTypeFont
_INK, _AGAINST = "#1b1f24", "#a40e26"


@dataclass(frozen=True)
class _Word:
    """A word, or the marks behind a sentence, at its place in a column."""

    text: str
    line: int
    left: float
    width: float
    ground: str | None = None
    against: bool = False
    mark: bool = False

    def draw(self, draw: ImageDraw.ImageDraw, left: int, font: _Font, bold: _Font) -> None:
        x, y = left + self.left, _MARGIN + _LINE * (self.line + 1)
        if self.mark:
            draw.text((x, y - 2), self.text, _AGAINST if self.against else _INK, bold)
            return
        if self.ground:
            draw.rectangle((x, y - 1, x + self.width, y + _SIZE + 5), self.ground)
        draw.text((x, y), self.text, _INK, font)
        if self.against:
            draw.line((x, y + _SIZE + 5, x + self.width, y + _SIZE + 5), _AGAINST, 2)


def draw_comparison(columns: Mapping[str, str], path: str | Path) -> None:
    """Writes a PNG with a column for each report, marked as on the web page.

    Args:
        columns: Name → raw report; the first is the reference.
        path: Of the PNG.

    Raises:
        MissingDependency: matplotlib, whose font is used, is not installed.
    """
    require("matplotlib", "plots", "drawing figures")
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(folder / "DejaVuSans.ttf", _SIZE)
    bold = ImageFont.truetype(folder / "DejaVuSans-Bold.ttf", _SMALL)
    reference, *_ = columns.values()
    compared = [reference_sentences(reference)]
    compared += [compare_reports(report, reference) for report in list(columns.values())[1:]]
    placed = [_placed(column, font, bold) for column in compared]
    lines = 1 + max((word.line for column in placed for word in column), default=0)
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP) - _GAP
    canvas = Image.new("RGB", (width, 2 * _MARGIN + _LINE * (lines + 1)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (name, words) in enumerate(zip(columns, placed, strict=True)):
        left = _MARGIN + number * (_WIDTH + _GAP)
        draw.text((left, _MARGIN), name, fill="#57606a", font=bold)
        for word in words:
            word.draw(draw, left, font, bold)
    canvas.save(path, "PNG")


def _placed(column: Sequence[ComparedSentence], font: _Font, bold: _Font) -> list[_Word]:
    """The words of a report, broken into lines."""
    placed: list[_Word] = []
    line, left = 0, 0.0
    for one in column:
        same, against = marks(one)
        ground = colour_of(one.same[0]) if same else None
        texts = [(f"{word} ", font, bool(against), False) for word in shown_text(one).split()]
        texts += [
            (f"{mark} ", bold, not shown, True) for shown, mark in ((1, same), (0, against)) if mark
        ]
        for text, face, denies, mark in texts:
            width = face.getlength(text)
            if left + width > _WIDTH and left:
                line, left = line + 1, 0.0
            placed.append(_Word(text, line, left, width, None if mark else ground, denies, mark))
            left += width
    return placed
