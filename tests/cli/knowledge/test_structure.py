"""`kia knowledge structure` as its user meets it."""

import json

import pytest

LINES = "The heart is enlarged. No effusion.\n\nPossible pneumonia.\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports.txt").write_text(LINES, encoding="utf-8")
    return tmp_path


def test_lines_of_a_text_file(kia_command, folder):
    words = ("knowledge", "structure", "reports.txt", "--out", "o/s.jsonl", "--json", "c.json")
    code, printed, _ = kia_command(*words)
    assert code == 0 and "3 reports" in printed and "wrote o/s.jsonl" in printed
    found = [json.loads(line) for line in (folder / "o" / "s.jsonl").read_text().splitlines()]
    assert [one["id"] for one in found] == ["1", "2", "3"]
    first = found[0]["structured"]
    assert first["heart and mediastinum"] == {
        **{"state": "abnormal", "sentences": ["The heart is enlarged."]}
    }
    assert first["pleura"]["state"] == "normal"
    assert {organ["state"] for organ in found[1]["structured"].values()} == {"not mentioned"}
    counts = json.loads((folder / "c.json").read_text())
    expected = {"abnormal": 0, "uncertain": 1, "normal": 0, "not mentioned": 2}
    assert counts["reports"] == 3 and counts["organs"]["lungs"] == expected


def test_without_out_it_shows_each_report(kia_command, folder):
    code, printed, _ = kia_command("knowledge", "structure", "reports.txt")
    assert code == 0
    assert "The heart is enlarged." in printed and "Possible pneumonia." in printed


def test_reports_in_another_language_are_left_out_and_counted(kia_command, folder):
    german = "Das Herz ist vergrößert, kein Pleuraerguss und keine Stauung der Lunge."
    (folder / "de.txt").write_text(f"{german}\nThe heart is enlarged.\n")
    words = ("knowledge", "structure", "de.txt", "--json", "c.json")
    assert kia_command(*words)[0] == 0
    assert json.loads((folder / "c.json").read_text())["left_out"] == {"de": 1}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.txt"], 1, "no such file"),
        (["reports.txt", "--out", "."], 2, "--out . is a folder"),
        (["reports.txt", "--out", "reports.txt"], 2, "name another"),
    ],
)
def test_what_is_wrong_is_one_line(one_line, folder, words, code, said):
    assert said in one_line(code, "knowledge", "structure", *words)
