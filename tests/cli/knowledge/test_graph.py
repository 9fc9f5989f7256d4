"""`kia knowledge graph`; what it reads is in tests/tables/test_reports.py."""

import json

import pytest

from kia.knowledge.radgraph import read_graphs

LINES = "Clear lungs.\n\nPossible pneumonia. No effusion.\n"


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "reports.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


def test_the_command_writes_graphs_and_counts_them(kia_command, tmp_path, lines):
    out, counts = tmp_path / "graphs.json", tmp_path / "counts.json"
    code, printed, _ = kia_command(
        "knowledge", "graph", str(lines), "--out", str(out), "--json", str(counts)
    )
    assert code == 0 and "located_at" in printed
    graphs = read_graphs(out)
    assert list(graphs) == ["1", "2", "3"]
    assert [e.tokens for e in graphs["3"].entities.values()] == ["pneumonia", "effusion"]
    assert json.loads(counts.read_text()) == {
        "reports": 3,
        "reports_without_entities": 1,
        "ANAT-DP": 1,
        "OBS-DP": 1,
        "OBS-U": 1,
        "OBS-DA": 1,
        "modify": 0,
        "located_at": 1,
        "suggestive_of": 0,
    }


def test_labels_can_be_those_of_radgraph_xl(kia_command, tmp_path, lines):
    out = tmp_path / "graphs.json"
    assert (
        kia_command("knowledge", "graph", str(lines), "--out", str(out), "--labels", "xl")[0] == 0
    )
    record = json.loads(out.read_text())["3"]
    assert record["entities"]["1"]["label"] == "Observation::uncertain"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.txt", "--out", "o.json"], 1, "no such file"),
        (["reports.txt", "--out", "."], 2, "is a folder"),
        (["reports.txt", "--out", "reports.txt"], 2, "name another"),
        (["reports.txt", "--out", "o.json", "--column", "a"], 2, "--report-column"),
        (["reports.txt", "--out", "o.json", "--source", "radgraph"], 1, "pip install radgraph"),
    ],
)
def test_what_is_wrong_is_one_line(kia_command, monkeypatch, lines, words, code, said):
    import sys

    monkeypatch.setitem(sys.modules, "radgraph", None)
    monkeypatch.chdir(lines.parent)
    got, _, err = kia_command("knowledge", "graph", *words)
    assert got == code and said in err and "Traceback" not in err
    assert lines.read_text(encoding="utf-8") == LINES
    assert not (lines.parent / "o.json").exists()


def test_reports_in_other_languages_have_no_entities(kia_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixed.txt").write_text("No edema.\nGeen pneumothorax.\n")
    code, printed, said = kia_command("knowledge", "graph", "mixed.txt", "--out", "g.json")
    assert code == 0 and "1 of 2 reports are not in English (1 Dutch)" in said
    graphs = read_graphs(tmp_path / "g.json")
    assert [len(graph.entities) for graph in graphs.values()] == [1, 0]
    assert "left_out" in printed
    code, _, _ = kia_command(
        "knowledge", "graph", "mixed.txt", "--out", "g.json", "--language", "nl"
    )
    assert [len(g.entities) for g in read_graphs(tmp_path / "g.json").values()] == [1, 1]
