"""Every kind of table gives the same rows; names, missing cells, ragged rows, bad files."""

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kia.errors import DataError
from kia.tables.json_lines import read_json
from kia.tables.table import open_table, read_rows

ROWS = [{"id": "a", "report": 'Clear,\n"normal".'}, {"id": "b", "report": "Größe " + "x" * 200_000}]
KINDS = ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"]


def write(folder, kind):
    path = folder / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    if kind.startswith("jsonl"):
        content = "\n\n".join(json.dumps(row) for row in ROWS)
    else:
        quoted = (f'{r["id"]},"{r["report"].replace(chr(34), chr(34) * 2)}"' for r in ROWS)
        content = "\n".join(["\ufeffid,report", *quoted])
    path.write_bytes(gzip.compress(content.encode()) if kind.endswith("gz") else content.encode())
    return path


def table(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def notes(recwarn):
    return [str(warning.message) for warning in recwarn]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_rows(tmp_path, kind):
    path = write(tmp_path, kind)
    assert list(read_rows(path, ("id", "report"))) == ROWS
    with pytest.raises(DataError, match="no column split; it has id, report"):
        list(read_rows(path, ("id", "split")))


@pytest.mark.parametrize(
    ("header", "id_", "report"),
    [  # the names of kia, MIMIC-CXR, Open-i, coco, MIMIC-CXR-JPG; of systems and tool boxes
        ("id,report", "id", "report"),
        ("Study_ID , Report Impression", "study_id", "report impression"),
        (" UID,PREDICTION", "uid", "prediction"),
        ("image_id,caption", "image_id", "caption"),
        ("dicom_id,hyp", "dicom_id", "hyp"),
        ("id,text", "id", "text"),
        ("id,Findings", "id", "findings"),
    ],
)
def test_columns_go_by_the_names_of_the_field(tmp_path, recwarn, header, id_, report):
    path = table(tmp_path, f"{header}\n1,x\n")
    assert open_table(path).columns == (id_, report)
    assert list(read_rows(path, ("report", "id"))) == [{"id": "1", "report": "x"}]
    assert not notes(recwarn)


def test_where_two_names_fit_the_first_counts_and_is_said(tmp_path, recwarn):
    path = table(tmp_path, "dicom_id,study_id,findings,prediction\nd,s,f,p\n")
    (row,) = read_rows(path, ("id", "report"))
    assert (row["id"], row["report"], row["findings"]) == ("s", "p", "f")
    assert notes(recwarn) == [
        f"{path}: id is column 'study_id', not dicom_id (--id-column names another)",
        f"{path}: report is column 'prediction', not findings (--report-column names another)",
    ]


def test_the_user_may_name_columns(tmp_path, recwarn):
    path = table(tmp_path, "id,Accession No,report,Befund\n1,A7,old,new\n")
    named = {"id": "accession no ", "report": "BEFUND"}
    (row,) = read_rows(path, ("id", "report"), named=named)
    assert (row["id"], row["report"]) == ("A7", "new")
    assert not notes(recwarn)
    with pytest.raises(DataError, match="no column Befunde; it has id, accession no, report, bef"):
        open_table(path, ("id", "report"), named={"report": "Befunde"})
    with pytest.raises(DataError, match="'befund' cannot be both id and report"):
        open_table(path, ("id", "report"), named={"report": "Befund", "id": "Befund"})


def test_a_preferred_name_counts_where_it_is_there(tmp_path, recwarn):
    path = table(tmp_path, "id,accession\n1,A7\n")
    assert next(read_rows(path, ("id",), preferred={"id": "Accession"}))["id"] == "A7"
    assert next(read_rows(path, ("id",), preferred={"id": "exam"}))["id"] == "1"
    assert notes(recwarn) == [f"{path}: no column 'exam'; id is column 'id'"]


def test_missing_cells_are_none_and_ids_are_texts(tmp_path):
    path = table(
        tmp_path,
        "study_id,patient_id,report,age,comparison\n"
        "50000001.0,7.0,Clear.,nan,None\n50000002.0,NaN,N/A,61.0,#NAME?\n50000003,NULL,None.,,\n",
    )
    rows = read_rows(path, ("id", "report"), ("patient",), prose=("Comparison",))
    assert [tuple(row.values()) for row in rows] == [
        ("50000001", "7", "Clear.", None, "None"),
        ("50000002", None, None, "61.0", None),
        ("50000003", None, "None.", None, None),
    ]


def test_parquet_of_pandas_has_floats_and_nan(tmp_path):
    columns = {"study_id": [50000001.0, 50000002.0], "report": ["x", None]}
    pq.write_table(pa.table(columns | {"patient": [float("nan"), 7.0]}), tmp_path / "t.parquet")
    assert list(read_rows(tmp_path / "t.parquet", ("id", "report"), ("patient",))) == [
        {"id": "50000001", "report": "x", "patient": None},
        {"id": "50000002", "report": None, "patient": "7"},
    ]


def test_empty_rows_at_the_end_and_unnamed_columns_are_left_out(tmp_path, recwarn):
    path = table(tmp_path, "\n,id,report,,\n0,1,x,,\n\n1,2,y\n,,,,\n,,,,\n")
    assert [tuple(row.values()) for row in read_rows(path, ("id", "report"))] == [
        *(("1", "x"), ("2", "y"))
    ]
    assert not notes(recwarn)


def test_an_empty_row_between_others_is_said(tmp_path, recwarn):
    path = table(tmp_path, "id,report\n1,x\n,\n2,y\n,\n3,z\n,\n")
    assert [row["id"] for row in read_rows(path, ("id", "report"))] == ["1", "2", "3"]
    assert notes(recwarn) == [f"{path}: 2 empty rows are left out (line 3, 5)"]


def test_without_ids_an_empty_row_between_others_is_a_missing_report(tmp_path):
    path = table(tmp_path, "report,age\nx,1\n,\ny,2\n,\n")
    assert [row["report"] for row in read_rows(path, ("report",), ("id",))] == ["x", None, "y"]


def test_ragged_rows_have_a_problem_unless_only_empty_cells_differ(tmp_path):
    path = table(tmp_path, 'id,report,age\n1,"a\nb"\n2\n3,clear, no, effusion\n4,x,5,,\n')
    rows = list(open_table(path, ("id", "report")))
    assert [row.problem and row.problem[:26] for row in rows] == [
        *(None, "1 values for 3 columns; qu", "4 values for 3 columns; qu", None)
    ]
    assert [row.line for row in rows] == [3, 4, 5, 6]
    assert rows[0].values == {"id": "1", "report": "a\nb", "age": None}
    with pytest.raises(DataError, match=r"t\.csv, line 4: 1 values for 3 columns; quote"):
        list(read_rows(path, ("id", "report")))


def test_bad_json_lines_are_problems_of_their_rows(tmp_path):
    lines = ['{"ID": 1, "hyp": "x"}', "nonsense", "[1]", '{"id": 2}', '{"id": true, "report": ""}']
    lines += [r'{"id": 3, "report": "half \ud83d"}', '{"id": "4", "report": ["x"]}', "9" * 5000]
    rows = list(open_table(table(tmp_path, "\n".join(lines), "t.jsonl"), ("id", "report")))
    assert rows[0].values == {"id": "1", "report": "x"}
    assert [row.problem for row in rows[:7]] == [
        None,
        "not JSON (Expecting value)",
        "not a JSON object",
        "no report",
        "an id is a text or a whole number",
        r"an escape such as \ud83d is half of a character; write both",
        "the report must be a text",
    ]
    assert rows[7].problem == "a whole number of more than 256 bits"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\xef\xbb\xbf\r\n,,\r\n", "is empty"),
        ("t.csv", b"id,report\n", "has no row below its header"),
        ("t.csv", b"id,report\n,\n,\n", "has no row below its header"),
        ("t.csv", b"id,report,ID \n1,x,2\n", "the column 'id' is there twice"),
        ("t.csv", b'id,report\n1,"x\n', "line 2: not readable as CSV"),
        ("t.csv", b'id,report\n1,"x"y\n', "line 2: not readable as CSV"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "holds NUL bytes"),
        ("t.csv", bytes(range(128, 256)) * 9, "neither UTF-8 nor cp1252"),
        (
            "t.csv.gz",
            gzip.compress(b"id,report\n1,x\n" * 999, mtime=0)[:-20],
            "not readable as text",
        ),
        ("t.csv.gz", b"\x1f\x8bnonsense", "not readable as text"),
        ("t.jsonl", b"", "is empty"),
        ("t.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("t.jsonl", b"{", "line 1: not JSON"),
        ("t.jsonl", b"[" * 100_000, "line 1: deeper than 64 levels"),
        ("t.jsonl", b'{"id": 1}\n{"id": 2}\n', "line 1: no column report or"),
        ("t.parquet", b"PAR1" + b"x" * 99, "not readable as Parquet"),
        ("t.parquet", b"", "not readable as Parquet"),
        ("t.csv", b"PK\x03\x04nonsense", "not readable as a spreadsheet"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old or locked Excel file; save it as"),
        ("t.md", b"id,report\n1,x\n", "not a table that kia reads; use .csv"),
        ("t.csv", b"The heart is enlarged and there is a large effusion.\n", "no name, but a long"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, name, content, said):
    path = table(tmp_path, content, name)
    with pytest.raises(DataError, match=said) as caught:
        list(read_rows(path, ("id", "report")))
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    assert "enlarged" not in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "t.csv")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    began = time.monotonic()
    for name, said in (
        ("t.csv", "is a pipe or a device"),
        ("", "is a folder"),
        ("none.csv", "no such file"),
        ("loop.csv", "no such file|symbolic links"),
        ("a\0.csv", "no such file|null"),
    ):
        with pytest.raises(DataError, match=said):
            open_table(tmp_path / name)
    with pytest.raises(DataError, match="is a pipe or a device"):
        read_json(Path("/dev/zero"))
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("name", "start", "more", "said"),
    [
        ("line.csv", "id,report\n1,x\n2,", "xxxx", "line 3, column 'report'"),
        ("quote.csv", 'id,report\n1,x\n2,"', "xyz\n", "line 3, column 'report'"),
        ("line.jsonl", '{"id": "', "xxxx", "line 1"),
    ],
)
def test_a_cell_of_200_megabytes_is_refused_without_the_memory(tmp_path, name, start, more, said):
    with (tmp_path / name).open("wb") as file:
        file.write(start.encode())
        file.write(more.encode() * (5 << 20))
        file.truncate(200 << 20)  # the rest is a hole, and not read
    code = (
        "import resource, sys; from kia.errors import DataError\n"
        "from kia.tables.table import read_rows\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: list(read_rows(sys.argv[1], ('id', 'report')))\n"
        "except DataError as error: print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    line, megabytes = done.stdout.splitlines()
    assert line.startswith(f"{tmp_path / name}, {said}: a cell of more than 1,048,576 characters")
    assert int(megabytes) < 300


def test_a_cell_just_above_the_limit_is_refused_and_one_below_is_read(tmp_path):
    path = table(tmp_path, f"id,report\n1,{'x' * 2**20}\n")
    assert len(next(read_rows(path, ("report",)))["report"]) == 2**20
    for name, content in (
        ("t.csv", f"id,report\n1,{'x' * (2**20 + 1)}\n"),
        ("t.jsonl", json.dumps({"id": 1, "report": "x" * (2**20 + 1)})),
    ):
        with pytest.raises(DataError, match="column 'report': a cell of more than"):
            list(read_rows(table(tmp_path, content, name), ("report",)))
    rows = {"id": [str(n) for n in range(5000)], "report": ["x"] * 4999 + ["x" * (2**20 + 1)]}
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="row 5000, column 'report': a cell of more than"):
        list(read_rows(tmp_path / "t.parquet", ("report",)))


def test_deeply_nested_json_is_one_line(tmp_path):
    with pytest.raises(DataError, match="deeper than 64 levels"):
        read_json(table(tmp_path, "[" * 200_000, "t.json"))
