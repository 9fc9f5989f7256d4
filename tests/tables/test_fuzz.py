"""Whatever bytes a file holds, it becomes rows or one line."""

import gzip
import random
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kia.errors import KIAError
from kia.tables.table import open_table

openpyxl = pytest.importorskip("openpyxl", reason="pip install 'kia[spreadsheets]'")

ROWS = {
    "id": ["50000001", "7", "8"],
    "report": ["Clear.", None, 'Größe, normal; "x"'],
    "n": [1, 2, 3],
}
MUTATIONS = 100


def read(path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for row in open_table(path, ("id", "report"), ("patient",)):
                assert row.problem is None or "\n" not in row.problem
                assert isinstance(row.values.get("id"), str | None)
                assert isinstance(row.values.get("report"), str | None) or row.problem
    except KIAError as error:
        assert "\n" not in str(error) and len(str(error)) < 2000


def example(folder, kind: str) -> bytes:
    path = folder / f"good.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(ROWS), path)
    elif kind == "xlsx":
        book = openpyxl.Workbook()
        for row in [list(ROWS), *zip(*ROWS.values(), strict=True)]:
            book.active.append(list(row))
        book.save(path)
    elif kind == "jsonl":
        path.write_text('{"id": "7", "report": "Clear."}\n{"id": 8, "report": null}\n')
    else:
        content = 'id;report;n\n50000001;"Clear; ""x""";1\n7;Größe;2\n'.encode("cp1252")
        path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "xlsx", "parquet"])
def test_damaged_files_are_rows_or_one_line(tmp_path, kind):
    good, draw = example(tmp_path, kind), random.Random(kind)
    path = tmp_path / f"t.{kind}"
    for _ in range(MUTATIONS):
        bad = bytearray(good)
        for _ in range(draw.choice((1, 2, 8))):
            place = draw.randrange(len(bad))
            how = draw.randrange(4)
            if how == 0:
                bad[place] = draw.randrange(256)
            elif how == 1:
                del bad[place : place + draw.randrange(1, 40)]
            elif how == 2:
                bad[place:place] = draw.randbytes(draw.randrange(1, 9))
            else:
                bad[place : place + 2] = bad[place : place + 2] * 30
            bad = bad or bytearray(b"x")
        path.write_bytes(bad)
        read(path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.sampled_from(
        [b"", b"id,report\n", b"id;report\n", b"\xff\xfe", b"\xef\xbb\xbf", b'{"id":1}\n']
    ),
    content=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='id,;\t"\n\r\\{}:[] 0eN/Aé', max_size=80).map(str.encode),
    ),
    kind=st.sampled_from(["csv", "jsonl", "txt", "csv.gz"]),
)
def test_any_bytes_are_rows_or_one_line(tmp_path, start, content, kind):
    path = tmp_path / f"t.{kind}"
    path.write_bytes(start + content)
    read(path)
