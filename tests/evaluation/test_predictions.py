"""Files of reports, good and bad, as a user would hand them over."""

from pathlib import Path

import numpy as np
import pytest

from kia.errors import DataError
from kia.evaluation.coverage import covered
from kia.evaluation.predictions import read_embeddings, read_report_file, read_reports
from kia.evaluation.reports.columns import Choice

GOOD = '{"id": "1", "report": "clear"}'


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "preds.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_other_keys_empty_lines_number_ids_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    text = f'\ufeff{GOOD}\r\n\n{{"id": 2, "report": "", "text": "Clear\u2028."}}\n'
    text += r'{"id": 3, "report": "\ud83e\udec0"}'  # one character, both halves
    assert read_reports(write(tmp_path, text)) == {"1": "clear", "2": "", "3": "🫀"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "preds.jsonl: is empty"),
        ("\n \n", "preds.jsonl: is empty"),
        (f"{GOOD}\nnonsense", r"line 2: not JSON \(Expecting value\)"),
        (f"{GOOD}\n[1]", "line 2: not a JSON object"),
        (
            '{"id": "1"}',
            r"has no column report, .*; it has nothing but ids \(--report-column names yours\)",
        ),
        (f'{GOOD}\n{{"report": "1"}}', "line 2: the id is missing"),
        (f'{GOOD}\n{{"id": null, "report": "a"}}', "line 2: the id is missing"),
        ('{"id": true, "report": "a"}', "line 1: an id is a text or a whole number"),
        ('{"id": "1", "report": ["a"]}', "line 1: the report must be a text"),
        (r'{"id": "1", "report": "a \ud83d"}', "line 1: an escape such as .* half of a character"),
        (r'{"id": "\udc00", "report": "a"}', "line 1: an escape such as .* half of a character"),
        (f"{GOOD}\n\n{GOOD}", "1 ids occur more than once: 1 .the first on line 1 and line 3"),
        (b"\xff\xfe{}{", "is not UTF-16 text"),
        ("[" * 100_000, "line 1: deeper than 64 levels"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str | bytes, error: str) -> None:
    with pytest.raises(DataError, match=error) as told:
        read_reports(write(tmp_path, text))
    assert "\n" not in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.jsonl: no such file"):
        read_reports(tmp_path / "none.jsonl")


def test_all_doubled_ids_are_counted_and_the_first_named(tmp_path: Path) -> None:
    lines = [f'{{"id": {i % 5}, "report": ""}}' for i in range(9)]
    with pytest.raises(DataError, match=r"4 ids occur more than once: 0, 1, 2, … .* 1 and line 6"):
        read_reports(write(tmp_path, "\n".join(lines)))


def test_other_keys_become_columns(tmp_path: Path) -> None:
    text = (
        '{"id": "a", "report": "x", "Sex": "F", "age": 61, "beams": [1]}\n{"id": "b", "report": ""}'
    )
    assert read_report_file(write(tmp_path, text)).columns == {
        "sex": {"a": "F"},
        "age": {"a": "61"},
    }


def test_a_csv_is_read_with_commas_quotes_and_line_breaks_in_reports(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text(
        'Study_ID,View,Report\n7,AP,"clear, ""quite""\nno effusion"\n\n8,PA,a\u2028b\n',
        encoding="utf-8",
    )
    found = read_report_file(path)
    assert found.reports == {"7": 'clear, "quite"\nno effusion', "8": "a\u2028b"}
    assert found.columns == {"view": {"7": "AP", "8": "PA"}}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is empty"),
        ("id,report\n", "has no row below its header"),
        ("id,words\n1,a", "has no column report, .*; it has words"),
        ("id,report\n1,a,b", "line 2: 3 values for 2 columns; quote"),
        ("id,report\n ,a", "line 2 has no id"),
        ("id,report\n1,a\n,b", "line 3 has no id"),
        ("id,report\n1,a\n1,b", "1 ids occur more than once: 1"),
        ('id,report\n1,"a', "line 2: not readable as CSV"),
    ],
)
def test_a_bad_csv_is_told_in_one_line(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "reports.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=error) as told:
        read_reports(path)
    assert "\n" not in str(told.value)


def test_text_has_a_report_a_line_and_empty_ones_count(tmp_path: Path) -> None:
    path = tmp_path / "reports.txt"
    path.write_bytes(b"clear\r\n\nno effusion\n\n")
    assert read_reports(path) == {"1": "clear", "2": "", "3": "no effusion", "4": ""}
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        read_reports(path)


def test_ids_by_the_users_name_count_where_they_are_there(tmp_path: Path) -> None:
    choice = Choice(id_column="Nr")
    for name, text in (
        ("a.csv", "id,Nr,report\nx,7,clear\n"),
        ("b.csv", "id,report\n7,clear\n"),
        ("c.jsonl", '{"id": "x", "NR": 7.0, "report": "clear"}\n'),
        ("d.json", '[{"id": "7", "report": "clear"}]'),
    ):
        (tmp_path / name).write_text(text)
        assert read_reports(tmp_path / name, choice=choice) == {"7": "clear"}
    (tmp_path / "e.csv").write_text("report,age\nclear,7\n")
    with pytest.raises(DataError, match="no column Nr, nor one of id, study_id"):
        read_reports(tmp_path / "e.csv", choice=choice)


TEN = {str(i): "" for i in range(10)}


def test_missing_and_unknown_ids_are_counted_and_the_first_named() -> None:
    with pytest.raises(DataError, match=r"no prediction for 9 of 10 .* test: 1, 2, 3, … \("):
        covered({"m": {"0": ""}}, TEN, split="test")
    with pytest.raises(DataError, match=r"1 of 11 predictions .* not in the references: x \("):
        covered({"m": TEN | {"x": ""}}, TEN)
    with pytest.raises(DataError, match=r"for 1 of 10 .*; 1 of 10 predictions .*--allow-missing"):
        covered({"m": dict.fromkeys([*map(str, range(9)), "x"], "")}, TEN)
    with pytest.raises(DataError, match="split val has no studies"):
        covered({"m": {}}, {}, split="val")


def test_predictions_of_another_split_are_recognised() -> None:
    with pytest.raises(DataError, match="these are of split val: use --split val"):
        covered({"m": {"v1": ""}}, TEN, split="test", other_splits={"train": [], "val": ["v1"]})


def test_of_two_systems_the_one_that_lacks_studies_is_named() -> None:
    with pytest.raises(DataError, match=r"^b\.jsonl: no prediction for 1 of 10"):
        covered({"a.jsonl": TEN, "b.jsonl": {str(i): "" for i in range(9)}}, TEN)


def test_what_both_sides_have_is_scored_if_asked_for() -> None:
    systems = {"a": {"x": "", "2": "", "1": ""}, "b": TEN}
    found = covered(systems, dict.fromkeys("123", ""), allow_missing=True)
    assert found.ids == ["2", "1"]
    assert found.as_dict() == {
        "scored": 2,
        "missing": 1,
        "unknown": 8,
        "first_missing": ["3"],
        "first_unknown": ["x", "0", "4"],
    }
    with pytest.raises(DataError, match="no id is the same"):
        covered({"a": {"x": ""}}, TEN, allow_missing=True)


def test_embeddings_are_found_beside_the_predictions(tmp_path: Path) -> None:
    predictions = write(tmp_path, GOOD)
    assert read_embeddings(predictions) is None
    np.save(tmp_path / "train-embeddings.npy", np.zeros((4, 2)))
    assert read_embeddings(predictions) is None
    np.save(tmp_path / "preds.embeddings.npy", np.ones((1, 2)))
    found = read_embeddings(predictions)
    assert found is not None
    assert [part.shape for part in found] == [(4, 2), (1, 2)]


def test_damaged_or_pickled_embeddings_are_refused(tmp_path: Path) -> None:
    predictions = write(tmp_path, GOOD)
    np.save(tmp_path / "train-embeddings.npy", np.zeros((4, 2)))
    for content in (b"", b"nonsense"):
        (tmp_path / "preds.embeddings.npy").write_bytes(content)
        with pytest.raises(DataError, match=r"cannot read embeddings from .*preds.embeddings.npy"):
            read_embeddings(predictions)
    np.save(tmp_path / "preds.embeddings.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot read embeddings"):
        read_embeddings(predictions)
