"""Tables of several systems, as a reader meets them on screen, in Markdown and in LaTeX."""

import os
import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from rich.console import Console

import kia
from kia.evaluation.board.html_report import html_report
from kia.evaluation.board.rendering import latex, markdown, render, scoreboard_page

PDFLATEX, ENVIRONMENT = which("pdflatex"), dict(os.environ)  # as before a fixture hides programs
REFS = {
    str(study): f"The heart is {size}. The lungs are {state}. No {finding} is seen."
    for study, (size, state, finding) in enumerate(
        [("big", "clear", "effusion"), ("normal", "clear", "pneumothorax")] * 15
    )
}
WORSE = dict.fromkeys(REFS, "No effusion. There is a large mass of the left lung.")
TRAIN = ["The lungs are clear."] * 3 + ["The heart is big.", "No pleural effusion is seen."]
NAME = r"ours_1 & 50% <é中> --x"


@pytest.fixture
def result() -> dict[str, Any]:
    systems = {NAME: REFS, "worse": [WORSE, WORSE], "train": dict.fromkeys(REFS, TRAIN[0])}
    return kia.evaluate(REFS, systems, train=TRAIN, against="worse", resamples=200)


def shown(result: dict[str, Any], width: int = 140) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(render(scoreboard_page(result)))
    return capture.get()


def test_systems_are_rows_between_their_intervals_and_the_baselines(result: dict[str, Any]) -> None:
    text = shown(result)
    for protocol in ("r2gen", "r2gen-full", "coco", "rexrank"):
        assert f"Language, protocol {protocol}" in text
    table = text[text.index("protocol r2gen ") : text.index("protocol r2gen-full")]
    rows = [line.strip().split("  ")[0] for line in table.splitlines()]
    places = [rows.index(name) for name in (NAME, "worse", "train", "constant", "most frequent")]
    assert places == sorted(places)
    assert "sd over 2 runs" in table
    assert "worse writes 1 report" not in text  # its runs are named
    assert "worse, run 2 writes 1 report for 30 studies: it has collapsed" in text


def test_only_a_best_system_above_every_baseline_is_bold(result: dict[str, Any]) -> None:
    text = markdown(scoreboard_page(result))
    assert "| **1.0000\\*** | **1.0000\\*** | **1.0000\\*** |" in text  # graphs of the references
    without = kia.evaluate(REFS, {"a": dict.fromkeys(REFS, TRAIN[0]), "b": WORSE}, train=TRAIN)
    best = without["best"]["protocols"]["r2gen"]["rouge_l"]
    assert best["systems"] == ["a"]  # the most frequent report of training is a baseline itself
    assert best["beats_baselines"] is False
    table = markdown(scoreboard_page(without)).split("### ")[1]
    assert table.startswith("Language, protocol r2gen\n")
    assert "**" not in table


def test_marks_are_those_of_corrected_p_values_and_have_a_footnote(result: dict[str, Any]) -> None:
    text = markdown(scoreboard_page(result))
    ours = result["systems"][NAME]["against"]["graph_f1_kia"]["complete"]
    assert ours["p_holm"] < 0.05
    assert "differs from worse (p < 0.05" in text.replace("\\", "")
    assert "Holm's correction for 2 comparisons a column" in text
    row = next(line for line in text.splitlines() if line.startswith("| worse |"))
    assert "\\*" not in row
    assert "Differences from worse" in text


def test_what_does_not_differ_has_no_mark() -> None:
    found = kia.evaluate(REFS, {"a": WORSE, "b": WORSE}, against="a", resamples=100)
    rows = [line for line in markdown(scoreboard_page(found)).splitlines() if "| b |" in line]
    assert len(rows) > 5
    assert not any(r"\*" in row for row in rows)  # bold is **


def test_a_row_says_that_it_needs_training_reports() -> None:
    text = shown(kia.evaluate(REFS, {"a": REFS, "b": WORSE}, resamples=100))
    assert "a · needs --train-references" in text
    assert "b · needs --train-references" in text
    assert text.count("needs --train-references") == 2


def test_every_table_of_latex_has_a_label_of_its_own(result: dict[str, Any]) -> None:
    text = latex(scoreboard_page(result))
    labels = re.findall(r"\\label\{(tab:[a-z0-9-]+)\}", text)
    assert len(labels) == len(set(labels)) == text.count(r"\begin{table}")
    assert labels[:4] == [f"tab:language-{p}" for p in ("r2gen", "r2gen-full", "coco", "rexrank")]
    assert r"ours\_1 \& 50\% \textless{}é?\textgreater{} -{}-x" in text
    assert r"\textbf{1.0000*}" in text


@pytest.mark.slow
@pytest.mark.skipif(PDFLATEX is None, reason="needs LaTeX")
@pytest.mark.parametrize("packages", ["booktabs", "booktabs,graphicx"])
def test_latex_of_several_systems_compiles(
    packages: str, result: dict[str, Any], tmp_path: Path
) -> None:
    head = rf"\documentclass{{article}}\usepackage[utf8]{{inputenc}}\usepackage{{{packages}}}"
    body = latex(scoreboard_page(result))
    (tmp_path / "t.tex").write_text(
        f"{head}\\begin{{document}}Table~\\ref{{tab:graphs}}{body}\\end{{document}}",
        encoding="utf-8",
    )
    for _ in range(2):  # the second run knows the labels
        done = subprocess.run(
            [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
            cwd=tmp_path, check=True, capture_output=True, text=True, env=ENVIRONMENT,
        )  # fmt: skip
    assert "undefined" not in done.stdout
    assert "multiply defined" not in done.stdout
    if "graphicx" in packages:
        assert "Overfull" not in done.stdout


def test_the_page_shows_several_systems_too(result: dict[str, Any]) -> None:
    text = html_report(result)
    assert "Language, protocol r2gen" in text
    assert "&lt;é中&gt; --x" in text
