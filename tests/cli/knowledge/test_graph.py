"""`kia knowledge graph`, and the reader of reports that it shares with `kia knowledge label`."""

import json

import pytest

from kia.cli.report_input import read_reports
from kia.errors import DataError, UsageError
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
        (["reports.txt", "--out", "o.json", "--column", "a"], 2, "--column"),
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


class TestReadReports:
    def test_a_text_file_has_a_report_a_line(self, lines):
        assert read_reports(lines) == [
            ("1", "Clear lungs."),
            ("2", ""),
            ("3", "Possible pneumonia. No effusion."),
        ]

    def test_only_line_feeds_part_lines(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_bytes("a\u2028b\x0bc\x85d\r\ne".encode())
        assert [text for _, text in read_reports(path)] == ["a\u2028b\x0bc\x85d", "e"]

    @pytest.mark.parametrize(
        ("content", "column", "expected"),
        [
            ("report\nx\n", None, [("1", "x")]),
            ("id,Report\n7,x\n8,\n", None, [("7", "x"), ("8", "")]),
            ('study_id,Report Impression\n7,"x, ""y""\nz"\n', None, [("7", 'x, "y"\nz')]),
            ("uid,findings\n7,x\n", "Findings", [("7", "x")]),
            ("\ufefftext\nx\n", None, [("1", "x")]),
        ],
    )
    def test_a_csv_has_a_column_of_them(self, tmp_path, content, column, expected):
        path = tmp_path / "a.csv"
        path.write_text(content, encoding="utf-8")
        assert read_reports(path, column) == expected

    def test_a_csv_may_hold_enormous_reports(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text(f"report\n{'x' * 1_000_000}\n", encoding="utf-8")
        assert len(read_reports(path)[0][1]) == 1_000_000

    def test_a_folder_has_a_report_a_file(self, tmp_path):
        (tmp_path / "b").mkdir()
        for name, text in (("a.txt", "x"), ("b/c.txt", "y"), ("d.md", "z")):
            (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_reports(tmp_path) == [("a", "x"), ("b/c", "y")]

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("a.txt", b"", "empty"),
            ("a.txt", b" \n\n", "empty"),
            ("a.txt", b"\xff\xfe", "not UTF-8"),
            ("a.csv", b"", "empty"),
            ("a.csv", b"report\n", "no row"),
            ("a.csv", b"report\n\xff\n", "not UTF-8"),
            ("a.csv", b"uid,notes\n1,x\n", "it has uid, notes"),
            ("a.csv", b"id,report\n1,x, y\n", "line 2 has 3 values for 2 columns"),
            ("a.csv", b'report\n"x\n', "not readable as CSV"),
            ("a.csv", b"id,report\n1,x\n1,y\n", "id 1 occurs twice"),
            ("a.json", b"{}", ".json"),
            ("a/b.md", b"x", "no .txt file"),
        ],
    )
    def test_what_cannot_be_read_is_one_line(self, tmp_path, name, content, said):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path = path.parent if path.parent != tmp_path else path
        with pytest.raises(DataError) as error:
            read_reports(path)
        assert str(path) in str(error.value) and said in str(error.value)
        assert "\n" not in str(error.value)

    def test_a_report_in_place_of_a_header_is_not_shown(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("The heart is enlarged and there is a large effusion.\n")
        with pytest.raises(DataError) as error:
            read_reports(path)
        assert "enlarged" not in str(error.value)

    def test_nothing_there_is_one_line(self, tmp_path):
        with pytest.raises(DataError, match="no such file or folder"):
            read_reports(tmp_path / "none")

    def test_a_column_goes_with_a_csv(self, lines):
        with pytest.raises(UsageError, match="--column"):
            read_reports(lines, "report")
