"""Tables: CSV, JSON Lines and Parquet give the same rows; what is broken is one line."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kia.data.tables import read_json, read_table
from kia.errors import DataError

ROWS = [{"id": "a", "report": 'Clear,\n"normal".'}, {"id": "b", "report": "Größe " + "x" * 200_000}]


def write(folder, kind):
    path = folder / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    if kind == "jsonl":
        path.write_text("\n\n".join(json.dumps(row) for row in ROWS))
        return path
    lines = [
        "id,report",
        *(f'{r["id"]},"{r["report"].replace(chr(34), chr(34) * 2)}"' for r in ROWS),
    ]
    content = "\ufeff" + "\n".join(lines)
    path.write_bytes(gzip.compress(content.encode()) if kind == "csv.gz" else content.encode())
    return path


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_every_kind_gives_the_rows(tmp_path, kind):
    path = write(tmp_path, kind)
    assert list(read_table(path, ("id", "report"))) == ROWS
    with pytest.raises(DataError, match="no column split"):
        list(read_table(path, ("id", "split")))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
@pytest.mark.parametrize("content", [None, b"\x00\xff\x00", b"{", b"PAR1"])
def test_what_is_missing_or_broken_is_one_line(tmp_path, kind, content):
    path = tmp_path / f"t.{kind}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_table(path, ("id",)))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_is_one_line(tmp_path):
    path = write(tmp_path, "csv.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not readable as CSV"):
        list(read_table(path))


def test_lines_shorter_and_longer_than_the_header(tmp_path):
    (tmp_path / "t.csv").write_text("id,report\na\nb,c,d\n")
    assert list(read_table(tmp_path / "t.csv")) == [
        *({"id": "a", "report": ""}, {"id": "b", "report": "c"})
    ]


@pytest.mark.parametrize("content", ["[1]\n", '{"id": 1}\n[]\n'])
def test_json_lines_are_objects(tmp_path, content):
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"line [12]: not a JSON object"):
        list(read_table(tmp_path / "t.jsonl"))


def test_deeply_nested_json_is_one_line(tmp_path):
    (tmp_path / "t.json").write_text("[" * 200_000)
    with pytest.raises(DataError, match="not readable as JSON"):
        read_json(tmp_path / "t.json")
