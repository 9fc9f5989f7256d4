"""Files of reports, good and bad, as a user would hand them over."""

from pathlib import Path

import numpy as np
import pytest

from kia.errors import DataError
from kia.evaluation.predictions import check_coverage, read_embeddings, read_reports

GOOD = '{"id": "1", "report": "clear"}'


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "preds.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_other_keys_empty_lines_number_ids_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    text = f'\ufeff{GOOD}\r\n\n{{"id": 2, "report": "", "text": "Clear\u2028."}}\n'
    assert read_reports(write(tmp_path, text)) == {"1": "clear", "2": ""}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "preds.jsonl is empty"),
        ("\n \n", "preds.jsonl is empty"),
        (f"{GOOD}\nnonsense", r"line 2 is not JSON \(Expecting value\)"),
        (f"{GOOD}\n[1]", "line 2 is not a JSON object"),
        ('{"id": "1"}', "line 1 has no 'report'"),
        ('{"report": "1"}', "line 1 has no 'id'"),
        ('{"id": null, "report": "a"}', "line 1: the id must be a text"),
        ('{"id": true, "report": "a"}', "line 1: the id must be a text"),
        ('{"id": "1", "report": ["a"]}', "line 1: the report must be a text"),
        (f"{GOOD}\n\n{GOOD}", "line 3: id '1' was already on line 1"),
        (b"\xff\xfe{}", "is not UTF-8 text"),
        ("[" * 100_000, "line 1 is not JSON"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path: Path, text: str | bytes, error: str) -> None:
    with pytest.raises(DataError, match=error) as told:
        read_reports(write(tmp_path, text))
    assert "\n" not in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none.jsonl: No such file"):
        read_reports(tmp_path / "none.jsonl")


def test_missing_and_unknown_ids_are_counted_and_the_first_named() -> None:
    references = {str(i): "" for i in range(10)}
    with pytest.raises(DataError, match=r"no prediction for 9 of 10 .* test: 1, 2, 3, …$"):
        check_coverage({"0": ""}, references, "test")
    with pytest.raises(DataError, match=r"1 of 11 predictions .* not in the references: x$"):
        check_coverage(references | {"x": ""}, references)
    with pytest.raises(DataError, match="split val has no studies"):
        check_coverage({}, {}, "val")


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
