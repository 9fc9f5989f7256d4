"""Encodings and separators, each as a program of today saves it: bytes written by hand."""

import gzip

import pytest

from kia.errors import DataError
from kia.tables.notes import Note
from kia.tables.table import open_table, read_rows

ROWS = [{"id": "7", "report": 'Größe: clear, "normal"'}, {"id": "8", "report": "no; effusion"}]
COMMAS = 'id,report\n7,"Größe: clear, ""normal"""\n8,no; effusion\n'
SEMICOLONS = 'id;report\r\n7;"Größe: clear, ""normal"""\r\n8;"no; effusion"\r\n'
TABS = 'id\treport\r\n7\t"Größe: clear, ""normal"""\r\n8\tno; effusion\r\n'


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", COMMAS.encode(), None),
        ("t.csv", b"\xef\xbb\xbf" + COMMAS.encode(), None),  # Excel's "CSV UTF-8"
        ("t.csv.gz", gzip.compress(COMMAS.encode(), mtime=0), None),
        ("t.csv", gzip.compress(COMMAS.encode(), mtime=0), None),
        ("t.tsv", TABS.encode(), None),
        ("t.csv", TABS.encode(), "separated by tabs"),
        ("t.csv", SEMICOLONS.encode(), "separated by semicolons"),
        # Excel and LibreOffice where the comma is the sign of decimals
        ("t.csv", SEMICOLONS.encode("cp1252"), "read as cp1252, separated by semicolons"),
        ("t.csv", ("sep=;\r\n" + SEMICOLONS).encode(), "separated by semicolons"),
        # Excel's "Unicode Text"
        ("t.txt", b"\xff\xfe" + TABS.encode("utf-16-le"), "read as UTF-16"),
        ("t.csv", b"\xfe\xff" + TABS.encode("utf-16-be"), "read as UTF-16, separated by tabs"),
        ("t.csv", COMMAS.replace("\n", "\r").encode(), None),  # Excel for Mac
    ],
)
def test_what_programs_save_is_read_and_what_is_unusual_is_said(
    tmp_path, recwarn, name, content, said
):
    (tmp_path / name).write_bytes(content)
    assert list(read_rows(tmp_path / name, ("id", "report"))) == ROWS
    expected = [] if said is None else [f"{tmp_path / name}: {said}"]
    assert [str(warning.message) for warning in recwarn] == expected
    assert all(warning.category is Note for warning in recwarn)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("id,report;impression\n1,a\n2,b\n", ("id", "report;impression")),
        ("id;report, raw\n1;a\n2;b, c\n", ("id", "report, raw")),
        ("report\nclear; no effusion\nheart, normal\n", ("report",)),
        ("id,report\n1,a; b; c\n2,d; e; f\n", ("id", "report")),
        ('"id, or none";report\n1;"a, b, c"\n', ("id, or none", "report")),
    ],
)
def test_the_separator_is_the_one_that_cuts_evenly(tmp_path, content, names):
    (tmp_path / "t.csv").write_text(content)
    assert open_table(tmp_path / "t.csv").columns == names


def test_characters_may_lie_across_the_pieces_in_which_a_file_is_read(tmp_path):
    words = "ä€🫀" * 200_000  # 2, 3 and 4 bytes; more than a megabyte
    lines = [words[i : i + 1000] for i in range(0, len(words), 1000)]
    (tmp_path / "t.csv").write_text("report\r\n" + "\r\n".join(lines), newline="")
    assert [row["report"] for row in read_rows(tmp_path / "t.csv", ("report",))] == lines


def test_cp1252_may_show_late(tmp_path, recwarn):
    (tmp_path / "t.csv").write_bytes(
        b"report\n" + b"clear\n" * 100_000 + b"\x84Gr\xf6\xdfe\x93 \x96 normal"
    )
    *_, last = read_rows(tmp_path / "t.csv", ("report",))
    assert last == {"report": "„Größe“ – normal"}
    assert [str(w.message) for w in recwarn] == [f"{tmp_path / 't.csv'}: read as cp1252"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Größe\n".encode() + b"Gr\xf6\xdfe\n", "is not UTF-8 text"),  # two encodings in one file
        (b"caf\x81\n", "is neither UTF-8 nor cp1252 text; save it as UTF-8"),
        (b"\xff\xfea", "is not UTF-16 text"),
        (b"report\n\x00\x01\n", "holds NUL bytes; it is no text file"),
    ],
)
def test_bytes_that_are_no_text_are_one_line(tmp_path, content, said):
    (tmp_path / "t.csv").write_bytes(b"report\n" + content if content[:1] != b"\xff" else content)
    with pytest.raises(DataError, match=said) as caught:
        list(read_rows(tmp_path / "t.csv", ("report",)))
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}: ")
