"""Tables as a secretary exports them, through the commands: read, and said in one line each."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset

openpyxl = pytest.importorskip("openpyxl", reason="pip install 'kia[spreadsheets]'")

HEADER = ["Fallnummer", "Befund", "Alter", "image", "split"]
ROWS = [
    ["50000001", 'Größe normal; "no" effusion.', "61,5", "a.png", "train"],
    ["50000002", "Cardiomegaly.", "", "b.png", "train"],
    ["50000003", "N/A", "70,0", "c.png", "val"],
    ["50000004", "No pneumothorax.", "", "d.png", "test"],
]
COLUMNS = ("--id-column", "fallnummer", "--report-column", "BEFUND")


@pytest.fixture(params=["semicolons", "unicode text", "xlsx"])
def export(request, tmp_path):
    """The table in one of its forms, with the line that is said about it."""
    if request.param == "xlsx":
        book = openpyxl.Workbook()
        for row in [HEADER, *ROWS]:
            book.active.append([int(cell) if cell.isdecimal() else cell for cell in row])
        book.create_sheet("Notizen")
        book.save(tmp_path / "t.xlsx")
        return tmp_path / "t.xlsx", "only the first of its 2 sheets is read"
    separator, encoding, name, said = {
        "semicolons": (";", "cp1252", "t.csv", "read as cp1252, separated by semicolons"),
        "unicode text": ("\t", "utf-16", "t.txt", "read as UTF-16"),
    }[request.param]
    with (tmp_path / name).open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows([HEADER, *ROWS, [""] * 5])
    return tmp_path / name, said


def test_labels(kia_command, export, tmp_path):
    path, said = export
    words = ["knowledge", "label", str(path), "--out", str(tmp_path / "labels.csv"), *COLUMNS]
    code, _, err = kia_command(*words)
    assert code == 0
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert notes == [
        f"note: {path}: {said}",
        f"note: {path}: 1 of 4 reports are missing (50000003)",
    ]
    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert list(rows) == [row[0] for row in ROWS]
    assert rows["50000001"]["Pleural Effusion"] == "0"
    assert rows["50000002"]["Cardiomegaly"] == "1"
    assert set(rows["50000003"].values()) == {"50000003", ""}


def test_graphs(kia_command, export, tmp_path):
    path, said = export
    out = tmp_path / "graphs.json"
    code, _, err = kia_command("knowledge", "graph", str(path), "--out", str(out), *COLUMNS)
    assert code == 0 and f"note: {path}: {said}" in err
    assert list(json.loads(out.read_text())) == [row[0] for row in ROWS]


def test_a_data_set(kia_command, export, tmp_path):
    path, said = export
    for row in ROWS:
        Image.fromarray(np.full((20, 20), 90, np.uint8)).save(tmp_path / row[3])
    out = tmp_path / "out"
    words = ["data", "manifest", str(path), "--out", str(out), "--size", "32", "--workers", "1"]
    code, _, err = kia_command(*words, *COLUMNS)
    assert code == 0 and f"note: {path}: {said}" in err
    dataset = PreparedDataset.open(out)
    assert dataset.ids("train") == ["50000001", "50000002"]
    assert dataset.study(0).report == ROWS[0][1]
    assert dataset.rejects() == [{"what": "50000003", "why": "empty report"}]


def test_the_splits_of_a_data_set_may_name_ids_in_the_same_way(kia_command, tmp_path):
    Image.fromarray(np.full((20, 20), 90, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("id,Fallnummer,report,image\n1,50000001.0,Clear.,a.png\n")
    (tmp_path / "s.csv").write_text("id;Fallnummer;split\n1;50000001;val\n")
    words = ["data", "manifest", str(tmp_path / "t.csv"), "--split", str(tmp_path / "s.csv")]
    words += ["--out", str(tmp_path / "out"), "--size", "32", "--workers", "1"]
    code, _, err = kia_command(*words, "--id-column", "Fallnummer")
    assert code == 0, err
    assert PreparedDataset.open(tmp_path / "out").ids("val") == ["50000001"]


def test_scores(kia_command, export, tmp_path):
    path, said = export
    (tmp_path / "p.jsonl").write_text(
        "".join(json.dumps({"id": row[0], "report": row[1]}) + "\n" for row in ROWS)
    )
    words = ["evaluate", str(tmp_path / "p.jsonl"), "--references", str(path), "--resamples", "100"]
    words += ["--id-column", "Fallnummer", "--reference-column", "befund"]
    code, _, err = kia_command(*words, "--json", str(tmp_path / "r.json"))
    assert code == 0, err
    assert f"note: {path}: {said}" in err
    assert f"note: {path}: 1 of 4 reports are empty (50000003)" in err


def test_what_is_wrong_is_one_line(kia_command, tmp_path):
    (tmp_path / "t.csv").write_text("Fallnummer;Befund\n1;x\n")
    words = ["knowledge", "label", str(tmp_path / "t.csv"), "--out", str(tmp_path / "o.csv")]
    for more, said in (
        ((), "no column report or report impression or prediction"),
        (("--report-column", "Befunde"), "no column Befunde; it has fallnummer, befund"),
        (("--column", "Befund", "--id-column", "Nr"), "no column Nr; it has fallnummer, befund"),
    ):
        code, _, err = kia_command(*words, *more)
        assert code == 1 and said in err and len(err.splitlines()) == 1
    assert not (tmp_path / "o.csv").exists()


def test_labels_and_splits_of_iu_xray_may_name_ids_otherwise(tmp_path):
    from kia.data.imported import imported_labels
    from kia.knowledge.chexpert import OBSERVATIONS

    cells = ["1", "-1,0", *[""] * 12]
    lines = [";".join(["Fallnummer", *OBSERVATIONS]), ";".join(["50000001,0", *cells])]
    (tmp_path / "labels.csv").write_text("\r\n".join(lines), encoding="utf-16")
    named = {"id": "fallnummer"}
    (labels,) = imported_labels(tmp_path / "labels.csv", ["s50000001"], named=named).values()
    assert (labels[OBSERVATIONS[0]], labels[OBSERVATIONS[1]]) == (1, -1)
    assert set(labels.values()) == {1, -1, None}


def test_reports_beside_the_reference(kia_command, tmp_path):
    (tmp_path / "refs.csv").write_text("Nr,Wahrheit,caption\n7,No effusion.,x\n8,Edema.,x\n")
    (tmp_path / "ours.csv").write_text("Nr;Befund;text\n8,0;Edema.;x\n7,0;No effusion.;x\n")
    numbers = tmp_path / "n.json"
    words = ["explain", "compare", str(tmp_path / "ours.csv"), "--json", str(numbers)]
    words += ["--references", str(tmp_path / "refs.csv"), "--show", "0", "--id-column", "Nr"]
    code, _, err = kia_command(
        *words, "--report-column", "Befund", "--reference-column", "Wahrheit"
    )
    assert code == 0, err
    found = json.loads(numbers.read_text())
    assert found["studies"] == 2 and found["scores"]["ours"]["said"]["share"] == 1.0
