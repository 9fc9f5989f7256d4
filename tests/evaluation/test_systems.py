"""`kia evaluate --system` as a user runs it, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kia
from kia.errors import DataError

KiaCommand = Callable[..., tuple[int, str, str]]

REFS = {"a": "The heart is big.", "b": "The lungs are clear.", "c": "No effusion is seen."}
OURS = {"a": "The heart is big.", "b": "The lungs are clear.", "c": "No effusion."}
THEIRS = {"a": "The heart is normal.", "b": "The lungs are big.", "c": "No effusion."}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, reports in {"refs": REFS, "ours": OURS, "theirs": THEIRS, "again": OURS}.items():
        lines = (json.dumps({"id": id_, "report": report}) for id_, report in reports.items())
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    rows = "".join(f"{id_},{report}\n" for id_, report in THEIRS.items())
    (tmp_path / "theirs.csv").write_text(f"id,report\n{rows}")
    return tmp_path


def words(*more: str) -> tuple[str, ...]:
    systems = ("--system", "ours=ours.jsonl,again.jsonl", "--system", "theirs=theirs.csv")
    return ("evaluate", *systems, "--references", "refs.jsonl", "--resamples", "100", *more)


def test_the_command_writes_what_the_call_returns(kia_command: KiaCommand, folder: Path) -> None:
    files = ("--json", "r.json", "--markdown", "r.md", "--latex", "r.tex", "--html", "r.html")
    code, out, _ = kia_command(*words(*files, "--against", "theirs"))
    assert code == 0
    assert "Language, protocol r2gen-full" in out
    assert "Differences from theirs" in out
    written = json.loads((folder / "r.json").read_text())
    found = kia.evaluate(
        REFS, {"ours": [OURS, OURS], "theirs": THEIRS}, against="theirs", resamples=100
    )
    assert written["systems"]["ours"]["protocols"] == found["systems"]["ours"]["protocols"]
    against = json.loads(json.dumps(found["systems"]["ours"]["against"]))  # tuples become lists
    assert written["systems"]["ours"]["against"] == against
    assert written["systems"]["ours"]["sd"]["graph_f1_kia"]["simple"] == 0
    assert (folder / "r.tex").read_text().count(r"\label{tab:") > 7


def test_a_file_that_systems_are_compared_with_is_a_row_too(
    kia_command: KiaCommand, folder: Path
) -> None:
    code, out, _ = kia_command(*words("--against", "refs.jsonl", "--json", "r.json"))
    assert code == 0
    assert "differs from refs.jsonl" in out
    found = json.loads((folder / "r.json").read_text())
    assert list(found["systems"]) == ["ours", "theirs", "refs.jsonl"]
    assert found["against"] == "refs.jsonl"


def test_a_name_of_a_system_comes_before_that_of_a_file(
    kia_command: KiaCommand, folder: Path
) -> None:
    (folder / "theirs").write_text("no reports")
    code, _, _ = kia_command(*words("--against", "theirs", "--json", "r.json"))
    assert code == 0
    assert list(json.loads((folder / "r.json").read_text())["systems"]) == ["ours", "theirs"]


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (("theirs.csv",), 2, "name the reports as PREDS or by --system NAME=FILE, not both"),
        (("--system", "ours=refs.jsonl"), 2, "--system ours is named twice"),
        (("--system", "x"), 2, "--system x: write NAME=FILE"),
        (("--system", "x="), 2, "--system x=: write NAME=FILE"),
        (("--system", "=refs.jsonl"), 2, "--system =refs.jsonl: write NAME=FILE"),
        (("--system", "x=refs.jsonl,"), 2, "write NAME=FILE, or NAME=FILE,FILE for its runs"),
        (("--system", "x=refs.jsonl,refs.jsonl"), 2, "same file of predictions is named twice"),
        (("--system", "x=none.jsonl"), 1, "none.jsonl: no such file"),
        (("--against", "none"), 2, "--against none: neither a file nor a system (ours, theirs)"),
        (("--labels", "refs.jsonl"), 2, "those of one system, not of several"),
        (("--rexrank",), 2, "not the findings of ReXrank's 590 studies"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    kia_command: KiaCommand, more: tuple[str, ...], code: int, told: str
) -> None:
    found, out, err = kia_command(*words(*more))
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (found, len(errors), out) == (code, 1, "")
    assert told in errors[0]


def test_no_reports_at_all_are_refused(kia_command: KiaCommand) -> None:
    code, _, err = kia_command("evaluate", "--references", "refs.jsonl")
    assert code == 2
    assert "name the reports: PREDS, or --system NAME=FILE" in err


def test_systems_with_other_studies_are_refused_with_the_counts_of_each() -> None:
    systems: dict[str, Any] = {
        "whole": OURS,
        "less": {"a": "x", "b": "y"},
        "more": {**OURS, "d": "z"},
    }
    with pytest.raises(DataError) as told:
        kia.evaluate(REFS, systems)
    assert str(told.value) == (
        "less: no prediction for 1 of 3 studies of the references: c; more: 1 of 4 predictions are "
        "for studies not in the references: d (--allow-missing scores the 2 studies that all "
        "systems have)"
    )
    found = kia.evaluate(REFS, systems, allow_missing=True, resamples=100)
    assert found["n"] == 2
    assert found["coverage"]["missing"] == 1
    assert found["coverage"]["unknown"] == 1


@pytest.mark.parametrize(
    ("references", "predictions", "told"),
    [
        (list(REFS.values()), {"x": []}, "predictions: there is no report"),
        ([], {"x": OURS}, "references: there is no report"),
        ([["one", "two"]], {"x": ["one"]}, "references, 1: 2 texts; kia scores one report"),
        ({"a": ["one", "two"]}, {"x": {"a": "b"}}, "references, a: 2 texts; kia scores one"),
        ({"a": 5}, {"x": {"a": "b"}}, "references, a: the report must be a text, not int"),
        (REFS, {"x": {"a": 1, "b": "", "c": ""}}, "predictions, a: the report must be a text"),
        (REFS, {"x": ["one"]}, "predictions has no ids, and its 1 rows are not those of the 3"),
    ],
)
def test_what_is_no_report_is_refused_in_memory_too(
    references: Any, predictions: Any, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        kia.evaluate(references, predictions)


def test_lists_of_one_text_and_what_tables_leave_are_reports() -> None:
    """[text] is what coco's scorers take; None and NaN are what pandas leaves of an empty cell."""
    refs = {name: [text] for name, text in REFS.items()}
    found = kia.evaluate(refs, {"x": {"a": None, "b": float("nan"), "c": "No effusion."}})
    expected = kia.evaluate(REFS, {"x": {"a": "", "b": "", "c": "No effusion."}})
    assert found == expected


def test_systems_that_say_nothing_have_a_right_result() -> None:
    found = kia.evaluate(REFS, {"x": dict.fromkeys(REFS, ""), "y": OURS}, resamples=100)
    assert found["systems"]["x"]["protocols"]["coco"]["bleu_1"] == 0
    assert found["systems"]["x"]["protocols"]["r2gen-full"]["bleu_2"] < 1e-4  # cleaned: "."
    assert found["systems"]["x"]["protocols"]["rexrank"]["bleu_2"] == 0
    assert found["systems"]["x"]["diversity"]["unique_reports"] == 1
