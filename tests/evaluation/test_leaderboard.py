"""ReXrank's rows. Reference: its own files, where they lie beside IU X-Ray; and arithmetic."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import kia
from kia.errors import UsageError
from kia.evaluation import leaderboard
from kia.evaluation.baselines import CONSTANT_REPORT, most_frequent
from kia.evaluation.board.rendering import render, scoreboard_page
from kia.evaluation.language.rexrank import rexrank_bleu_2
from kia.evaluation.leaderboard import COLUMNS, REXRANK, is_rexrank_iu, leaderboard_for

REFS = {"a": "The heart is big.", "b": "The lungs are clear.", "c": "No effusion is seen."}
HYPS = {"a": "The heart is big.", "b": "The lungs are big.", "c": "No effusion."}


@pytest.fixture
def rexrank(iu_xray: Path) -> Path:
    folder = iu_xray.parent / "rexrank"
    if not folder.is_dir():
        pytest.skip("needs ReXrank's files beside IU X-Ray")
    return folder


def shown(result: dict[str, Any]) -> list[str]:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(render(scoreboard_page(result)))
    return capture.get().splitlines()


@pytest.mark.iu_xray
def test_the_rows_are_those_of_the_published_file(rexrank: Path) -> None:
    with (rexrank / "findings_result_iu_xray.csv").open(encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    rows = REXRANK["IU X-Ray"].rows
    assert len(rows) == len(published) == 31
    for row, theirs in zip(rows, published, strict=True):
        names = theirs["system"], theirs["institution"].strip(), int(theirs["year"])
        assert (row.system, row.institution, row.year) == names
        theirs["bleu_2"] = theirs["bleu2"]
        assert row.values == {key: float(theirs[key]) for key in COLUMNS}


def test_every_row_has_a_source() -> None:
    assert {name: len(board.rows) for name, board in REXRANK.items()} == {
        "IU X-Ray": 31,
        "MIMIC-CXR": 12,
    }
    for board in REXRANK.values():
        assert "commit" in board.source
        assert board.studies
        assert all(row.values["bleu_2"] is not None for row in board.rows)
    assert {row.year for row in REXRANK["MIMIC-CXR"].rows} == {2025, 2026}


@pytest.mark.iu_xray
def test_its_studies_are_known_in_either_source_and_in_any_order(
    rexrank: Path, iu_reports: dict[str, list[str]]
) -> None:
    studies = json.loads((rexrank / "ReXRank_IUXray_test.json").read_text(encoding="utf-8"))
    assert is_rexrank_iu(study["section_findings"] for study in studies.values())
    assert is_rexrank_iu(reversed(iu_reports["test"]))
    assert not is_rexrank_iu(iu_reports["test"][1:])
    assert not is_rexrank_iu(iu_reports["val"])


@pytest.mark.iu_xray
def test_a_constant_is_above_28_of_the_31_systems(iu_reports: dict[str, list[str]]) -> None:
    """Of fast-bleu: .2904 and .1600 (tests/evaluation/language/test_rexrank.py)."""
    train, refs = iu_reports["train"], iu_reports["test"]
    published = [row.values["bleu_2"] or 0 for row in REXRANK["IU X-Ray"].rows]
    constant = rexrank_bleu_2([CONSTANT_REPORT] * 590, refs).mean()
    assert round(constant, 3) == 0.290
    assert sum(constant > value for value in published) == 28
    frequent = rexrank_bleu_2([most_frequent(train).report] * 590, refs).mean()
    assert sum(frequent > value for value in published) == 6


def test_other_studies_have_no_board() -> None:
    with pytest.raises(UsageError, match="not the findings of ReXrank's 590 studies"):
        leaderboard_for(REFS.values(), {})
    board = leaderboard_for(REFS.values(), {"source": "MIMIC-CXR-JPG", "split": "test"})
    assert board.dataset == "MIMIC-CXR"
    assert "R2Gen's 3,858 are images" in board.studies


def test_ours_stand_between_the_rows_by_their_bleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaderboard, "is_rexrank_iu", lambda references: True)
    result = kia.evaluate(REFS, HYPS, rexrank=True, resamples=100)
    assert json.loads(json.dumps(result))["rexrank"]["rows"][0]["system"] == "CheXagent"
    lines = shown(result)
    first = next(place for place, line in enumerate(lines) if line.strip() == "ReXrank, IU X-Ray")
    last = next(place for place, line in enumerate(lines) if "as published" in line)
    table = [line.split("  ") for line in lines[first:last]]
    found = [(cells[0].strip(), float(next(filter(None, cells[1:])))) for cells in table[4:-2]]
    assert len(found) == 31 + 1 + 1  # of the board, ours, and the constant
    assert [value for _, value in found] == sorted((v for _, v in found), reverse=True)
    ours = dict(found)["model"]
    assert ours == pytest.approx(result["protocols"]["rexrank"]["bleu_2"], abs=5e-5)
    low, high = result["confidence"]["rexrank"]["bleu_2"]
    row = next(line for line in lines if line.strip().startswith("model "))
    assert f"{low:.3f}".removeprefix("0") + "–" in row
    assert high >= ours
    constant = result["rexrank"]["confidence"]["constant"]
    alone = kia.evaluate(REFS, dict.fromkeys(REFS, CONSTANT_REPORT), resamples=100)
    assert constant == alone["confidence"]["rexrank"]["bleu_2"]


def test_several_systems_stand_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaderboard, "is_rexrank_iu", lambda references: True)
    result = kia.evaluate(REFS, {"ours": [HYPS, REFS], "same": REFS}, rexrank=True, resamples=100)
    rows = [line.split() for line in shown(result)]
    assert next(row for row in rows if row[:1] == ["same"])[1] == "1.0000"
    ours = next(row for row in rows if row[:1] == ["ours"])
    assert ours[2].startswith("±")
