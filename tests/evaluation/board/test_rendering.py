"""Markdown, LaTeX and the HTML page: complete, and safe against what reports contain."""

import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from kia.evaluation.board.entries import Settings
from kia.evaluation.board.html_report import _COLOURS, html_report
from kia.evaluation.board.rendering import latex, markdown, scoreboard_page
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.board.systems import References, System
from kia.evaluation.matching import match_sentences

ATTACK = '<script>alert("x")</script> | **b** & 5% _{}$ \\n <img src=http://x/y>'
REFS = {"a<b>": f"No effusion. {ATTACK}", "b": "The heart is big."}
HYPS = {"a<b>": "There is no effusion. Large mass.", "b": ATTACK}
PNG = b"\x89PNG not really"
PDFLATEX, ENVIRONMENT = which("pdflatex"), dict(os.environ)  # as before a fixture hides programs


@pytest.fixture
def evaluation() -> Evaluation:
    refs = References(REFS, [ATTACK] * 3, groups={"view|x": {"b": "<AP>"}})
    other = System(dict.fromkeys(REFS, "clear"), "other_&<system>")
    return Evaluation([System(HYPS, "m_1")], refs, Settings(resamples=100), other)


def test_markdown_has_every_table_and_no_live_mark(evaluation: Evaluation) -> None:
    text = markdown(scoreboard_page(evaluation.results[0]))
    for title in (
        "Language metrics",
        "Clinical efficacy",
        "Observations",
        "Errors a study, by kia's rule extractor",
        "Errors a study, by organ",
        "Graph-F1 by kia's rule extractor",
        r"m\_1 against",
    ):
        assert f"### {title}" in text
    assert "<script>" not in text
    assert "**b**" not in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 8
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table


def test_latex_escapes_what_it_must(evaluation: Evaluation) -> None:
    text = latex(scoreboard_page(evaluation.results[0]))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}}") == 8
    assert r"other\_\&\textless{}system\textgreater{}" in text
    assert r"\begin{tabular}{lrrrrrl}" in text  # the column of papers is text
    ours = ("%", r"\providecommand{\kiafit}", r"\kiafit{%")
    body = "\n".join(line for line in text.splitlines() if not line.startswith(ours))
    assert not re.search(r"(?<!\\)[%#_]", body.replace(r"\usepackage", ""))
    for table in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        columns = len(table[0])
        for line in table[1].splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="needs LaTeX")
def test_latex_compiles(evaluation: Evaluation, tmp_path: Path) -> None:
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs}"
    body = latex(scoreboard_page(evaluation.results[0]))
    (tmp_path / "t.tex").write_text(f"{head}\\begin{{document}}{body}\\end{{document}}")
    subprocess.run(
        [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path, check=True, capture_output=True, env=ENVIRONMENT,
    )  # fmt: skip


class Page(HTMLParser):
    """Tags, texts and attributes of a page; every tag must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "line", "rect", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_loads_nothing_and_shows_texts_as_they_are(
    evaluation: Evaluation,
) -> None:
    result = evaluation.results[0]
    text = html_report(result, evaluation.worst_cases("m_1"), lambda study: [PNG, PNG])
    page = Page(text)
    assert page.open == []
    assert page.tags.count("script") == 1  # its own; see test_page_in_chromium.py
    assert page.tags.count("img") == 4  # two views of two studies
    for name, value in page.attributes:
        if name in ("src", "xlink:href"):
            assert str(value).startswith("data:image/png;base64,")
        assert name != "href" or str(value).startswith("#")
        assert not name.startswith("on")
    assert "url(" not in text
    assert "@import" not in text
    assert any('<script>alert("x")</script>' in shown for shown in page.texts)
    assert "default-src 'none'" in text


def test_the_page_shows_a_bar_for_every_observation_and_its_interval(
    evaluation: Evaluation,
) -> None:
    page = Page(html_report(evaluation.results[0]))
    assert page.tags.count("rect") == 14
    assert page.tags.count("img") == 0
    assert "Pleural Effusion" in page.texts


def test_matching_sentences_have_one_number_and_colour(evaluation: Evaluation) -> None:
    text = html_report(evaluation.results[0], evaluation.worst_cases("m_1"))
    marked = re.findall(r'style="background:(#\w+)">([^<]*)<sup>(\d)</sup>', text)
    assert sorted(said for _, said, _ in marked) == ["No effusion.", "There is no effusion."]
    assert len({(colour, number) for colour, _, number in marked}) == 1


def test_sentences_match_by_their_words_and_only_with_equal_negation() -> None:
    matched = match_sentences(
        "The lungs are clear. There is a pleural effusion. Heart size is normal.",
        "Heart size normal. No pleural effusion. Lungs are clear bilaterally.",
    )
    pairs = {number: text for text, number in matched.hyp if number is not None}
    others = {number: text for text, number in matched.ref if number is not None}
    assert {pairs[n]: others[n] for n in pairs} == {
        "The lungs are clear.": "Lungs are clear bilaterally.",
        "Heart size is normal.": "Heart size normal.",
    }
    assert [text for text, number in matched.ref if number is None] == ["No pleural effusion."]


@pytest.mark.parametrize(
    ("hyp", "ref"),
    [
        ("No effusion.", "No pneumothorax."),
        ("The heart is normal.", "The mediastinum is normal."),
        ("The heart is within normal limits.", "The aorta is within normal limits."),
        ("The lungs are clear.", "The lungs are hyperexpanded."),
    ],
)
def test_denying_different_things_is_not_the_same(hyp: str, ref: str) -> None:
    assert match_sentences(hyp, ref).hyp == [(hyp, None)]


def test_equal_sentences_match_even_without_a_word_of_content() -> None:
    assert match_sentences("It is normal.", "It is normal.").hyp == [("It is normal.", 0)]


def luminance(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.1, definition of contrast ratio."""
    digits = colour.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted(luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_text_is_readable_on_every_background(evaluation: Evaluation) -> None:
    """Bar: WCAG 2.1 AA, 4.5 to 1."""
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    page = html_report(evaluation.results[0])
    schemes = re.findall(r":root \{ color-scheme: (?:light|dark);(.*?)\}", page, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        for ink in ("ink", "faint", "warning", "published"):
            assert contrast(colours[ink], colours["paper"]) >= 4.5, ink
        for paper in ("ok", "mi", "in", "si", "de", "pa", "w1", "w2", "w3"):
            assert contrast(colours["ink"], colours[paper]) >= 4.5, paper
    for paper in _COLOURS:  # text, and the number of a pair
        assert min(contrast(ink, paper) for ink in ("#1b1f24", "#57606a")) >= 4.5, paper


def test_a_sentence_is_matched_once() -> None:
    matched = match_sentences("Lungs clear. Lungs clear.", "Lungs clear.")
    assert [number for _, number in matched.hyp] == [0, None]
    assert match_sentences("", "") == ([], [])
