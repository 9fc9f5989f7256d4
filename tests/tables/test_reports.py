"""Reports as people hand them over: every shape, good and bad."""

import pytest

from kia.errors import DataError, UsageError
from kia.tables.reports import read_reports


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "reports.txt"
    path.write_text("Clear lungs.\n\nPossible pneumonia. No effusion.\n", encoding="utf-8")
    return path


def test_a_text_file_has_a_report_a_line(lines):
    assert read_reports(lines) == [
        ("1", "Clear lungs."),
        ("2", ""),
        ("3", "Possible pneumonia. No effusion."),
    ]


def test_only_line_feeds_part_lines(tmp_path):
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
def test_a_csv_has_a_column_of_them(tmp_path, content, column, expected):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8")
    assert read_reports(path, report_column=column) == expected


def test_a_csv_may_hold_enormous_reports(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"report\n{'x' * 1_000_000}\n", encoding="utf-8")
    assert len(read_reports(path)[0][1]) == 1_000_000


def test_a_folder_has_a_report_a_file(tmp_path):
    (tmp_path / "b").mkdir()
    for name, text in (("a.txt", "x"), ("b/c.txt", "y"), ("d.md", "z")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_reports(tmp_path) == [("a", "x"), ("b/c", "y")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b" \n\n", "empty"),
        ("a.txt", b"\xff\xfe", "empty"),
        ("a.txt", b"caf\x81", "neither UTF-8 nor cp1252"),
        ("a.txt", b"\x00", "NUL"),
        ("a.csv", b"", "empty"),
        ("a.csv", b"report\n", "no row"),
        ("a.csv", b"report\n\x81\n", "neither UTF-8 nor cp1252"),
        ("a.csv", b"uid,notes\n1,x\n", "it has uid, notes"),
        ("a.csv", b"id,report\n1,x, y\n", "line 2: 3 values for 2 columns"),
        ("a.csv", b'report\n"x\n', "not readable as CSV"),
        ("a.csv", b"id,report\n1,x\n1,y\n", "id 1 occurs twice"),
        ("a.json", b"{}", ".json"),
        ("a/b.md", b"x", "no .txt file"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path = path.parent if path.parent != tmp_path else path
    with pytest.raises(DataError) as error:
        read_reports(path)
    assert str(path) in str(error.value) and said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_report_in_place_of_a_header_is_not_shown(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("The heart is enlarged and there is a large effusion.\n")
    with pytest.raises(DataError) as error:
        read_reports(path)
    assert "enlarged" not in str(error.value)


def test_nothing_there_is_one_line(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_reports(tmp_path / "none")


def test_a_column_goes_with_a_table(lines):
    with pytest.raises(UsageError, match="--report-column"):
        read_reports(lines, report_column="report")


def test_encodings_of_a_folder_are_counted_in_one_line(tmp_path, recwarn):
    for number in range(4):
        text = "Größe normal." if number else "Clear."
        (tmp_path / f"{number}.txt").write_text(text, encoding="cp1252")
    assert [text for _, text in read_reports(tmp_path)] == ["Clear.", *["Größe normal."] * 3]
    assert [str(w.message) for w in recwarn] == ["3 of 4 files: read as cp1252"]


def test_a_text_file_with_a_header_is_a_table(tmp_path):
    for separator in ("\t", ";", ","):
        content = f'"Study_ID"{separator}Findings\n7{separator}"Clear."\n'
        (tmp_path / "a.txt").write_text(content)
        assert read_reports(tmp_path / "a.txt") == [("7", "Clear.")]
    (tmp_path / "a.txt").write_text("Findings, none.\nHeart, normal.\n")
    assert [text for _, text in read_reports(tmp_path / "a.txt")] == [
        *("Findings, none.", "Heart, normal.")
    ]


def test_missing_reports_are_counted_and_named_and_a_missing_id_is_refused(tmp_path, recwarn):
    path = tmp_path / "a.csv"
    path.write_text("id,report\n" + "".join(f"{n},{'NULL' if n % 2 else 'x'}\n" for n in range(14)))
    assert [text for _, text in read_reports(path)] == ["x", ""] * 7
    assert [str(w.message) for w in recwarn] == [
        f"{path}: 7 of 14 reports are missing (1, 3, 5, 7, 9, …)"
    ]
    path.write_text("id,report\n1,x\nnan,y\n")
    with pytest.raises(DataError, match="line 3: no id"):
        read_reports(path)
