"""Spreadsheets: files written by hand, part by part, as ECMA-376 and today's programs have them."""

import sys
import zipfile
from pathlib import Path

import pytest

from kia.errors import DataError, MissingDependency
from kia.tables.table import read_rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

# Style 1 is a date (number format 14); 45293 days after 1899-12-30 is 2 January 2024.
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><fonts count="1"><font/></fonts><fills count="1"><fill>'
    '<patternFill patternType="none"/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0"/>'
    '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>'
)

HEADER = (
    '<row r="1"><c r="A1" t="s"><v>0</v></c>'
    '<c r="B1" t="inlineStr"><is><t>Report</t></is></c></row>'
)


def workbook(path: Path, rows: str, sheets: int = 1, shared: str = " Study_ID ") -> Path:
    """A file with `rows` on its first sheet; the others hold nothing."""
    numbers = range(1, sheets + 1)
    names = "".join(f'<sheet name="Blatt {n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in numbers
    )
    kinds = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{TYPE}.worksheet+xml"/>'
        for n in numbers
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{TYPE}.styles+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{TYPE}.sharedStrings+xml"/>'
        f"{kinds}</Types>",
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{relations}'
        f'<Relationship Id="s1" Type="{OFFICE}/styles" Target="styles.xml"/>'
        f'<Relationship Id="s2" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
        "</Relationships>",
        "xl/styles.xml": STYLES,
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}"><si><t>{shared}</t></si></sst>',
    }
    for n in numbers:
        content = rows if n == 1 else ""
        parts[f"xl/worksheets/sheet{n}.xml"] = (
            # the dimension is wrong on purpose, as some programs write it
            f'<worksheet xmlns="{MAIN}"><dimension ref="A1"/><sheetData>{content}</sheetData>'
            "</worksheet>"
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def read(path: Path) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in read_rows(path, ("id", "report"))]


def text(place: str, value: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


def test_cells_of_every_kind(tmp_path, recwarn):
    rows = HEADER + "".join(
        (
            f'<row r="2"><c r="A2"><v>50000001</v></c>{text("B2", "Clear &amp; normal.")}</row>',
            f'<row r="3"><c r="A3"><v>50000002.0</v></c>{text("B3", " n/a ")}</row>',
            '<row r="4"><c r="A4" s="1"><v>45293</v></c><c r="B4" t="e"><v>#NAME?</v></c></row>',
            # formulas: the value of the last computation, an error, and never computed
            '<row r="5"><c r="A5"><f>3+4</f><v>7</v></c>'
            '<c r="B5" t="str"><f>"No "&amp;"effusion."</f><v>No effusion.</v></c></row>',
            '<row r="6"><c r="A6"><v>8</v></c><c r="B6"><f>B5</f></c></row>',
            '<row r="7"><c r="A7" t="str"><v>s9.0</v></c></row>',
            '<row r="8"><c r="A8" s="1"/><c r="B8" s="1"/></row>',  # coloured, and empty
            '<row r="500"><c r="A500" s="1"/></row>',
        )
    )
    assert read(workbook(tmp_path / "t.xlsx", rows)) == [
        ("50000001", "Clear & normal."),
        ("50000002", None),
        ("2024-01-02", None),
        ("7", "No effusion."),
        ("8", None),
        ("s9.0", None),
    ]
    assert not list(recwarn)


def test_the_header_is_the_first_row_that_is_not_empty(tmp_path):
    rows = f'<row r="3">{text("B3", "uid")}{text("C3", "findings")}</row>'
    rows += f'<row r="4">{text("B4", "1")}{text("C4", "x")}</row>'
    assert read(workbook(tmp_path / "t.xlsx", rows)) == [("1", "x")]


def test_of_several_sheets_the_first_is_read_and_that_is_said(tmp_path, recwarn):
    rows = HEADER + f'<row r="2"><c r="A2"><v>1</v></c>{text("B2", "x")}</row>'
    path = workbook(tmp_path / "t.xlsx", rows, sheets=3)
    assert read(path) == [("1", "x")]
    assert [str(w.message) for w in recwarn] == [f"{path}: only the first of its 3 sheets is read"]


def test_what_lies_far_below_is_not_waited_for_and_that_is_said(tmp_path, recwarn):
    rows = HEADER + f'<row r="2"><c r="A2"><v>1</v></c>{text("B2", "x")}</row>'
    rows += '<row r="99999999999"><c r="A99999999999"><v>1</v></c></row>'
    path = workbook(tmp_path / "t.xlsx", rows)
    assert read(path) == [("1", "x")]
    assert [str(w.message) for w in recwarn] == [
        f"{path}: not read below row 10003, after 10,000 empty ones"
    ]


def test_content_goes_before_the_name(tmp_path):
    rows = HEADER + f'<row r="2"><c r="A2"><v>1</v></c>{text("B2", "x")}</row>'
    assert read(workbook(tmp_path / "t.csv", rows)) == [("1", "x")]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "is empty"),
        (HEADER, "has no row below its header"),
        (
            HEADER + f'<row r="2"><c r="A2"><v>1</v></c>{text("B2", "x" * (2**20 + 1))}</row>',
            ", row 2, column 'Report': a cell of more than 1,048,576 characters",
        ),
        (HEADER + f'<row r="2">{text("B2", "x" * (5 << 20))}</row>', "a cell of more than 1,048"),
        (HEADER + "<row", "not readable as a spreadsheet"),
        (HEADER + '<row r="2"><c r="A2" t="s"><v>99</v></c></row>', "not readable as a spreadsh"),
        (f'<row r="1">{text("A1", "id")}{text("B1", "ID")}</row>', "there twice"),
    ],
)
def test_a_bad_sheet_is_one_line(tmp_path, rows, said):
    path = workbook(tmp_path / "t.xlsx", rows)
    with pytest.raises(DataError, match=said) as caught:
        read(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_that_declares_entities_or_unpacks_to_gigabytes_is_refused(tmp_path):
    path = workbook(tmp_path / "t.xlsx", HEADER, shared="x")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/more.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    with pytest.raises(DataError, match="declares entities"):
        read(path)
    path = workbook(tmp_path / "t.xlsx", HEADER)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/media.bin", b"x")
        archive.filelist[-1].file_size = 1 << 30  # what the directory of the file says
    with pytest.raises(DataError, match="unpacks to more than 536,870,912 bytes"):
        read(path)


def test_without_openpyxl_the_extra_is_named(tmp_path, monkeypatch):
    path = workbook(tmp_path / "t.xlsx", HEADER)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingDependency, match=r"needs openpyxl: pip install 'kia\[spreadsheets"):
        read(path)
