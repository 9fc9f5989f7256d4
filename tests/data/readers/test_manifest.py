"""Any collection: tables, annotation.json and folders become studies; what cannot, says why."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tests.pacs import UIDS, radiograph, write_tree

from kia.cli.data.command import app
from kia.data.prepare import Reject
from kia.data.readers.folder import read_folder
from kia.data.readers.manifest import Manifest
from kia.data.readers.splits import RandomSplit
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, ImageError, UsageError
from kia.imaging.paths import ImageRoots
from kia.imaging.reading import ImageWarning
from kia.imaging.views import view_named
from kia.studies import Study

ROWS = [
    {
        "id": "a",
        "image": "x/1.png; x/2.png",
        "view": "PA;LL",
        "report": "Clear lungs.",
        "split": "train",
        "labels": "No Finding=1; Edema=0",
    },
    {
        "id": "b",
        "image": "x/3.png",
        "view": "",
        "report": "Edema.",
        "split": "validate",
        "labels": "",
    },
]


@pytest.fixture
def collection(tmp_path) -> Path:
    folder = tmp_path / "collection"
    (folder / "x").mkdir(parents=True)
    for number in range(1, 5):
        Image.fromarray(np.full((20, 16), 10 * number, np.uint8)).save(folder / f"x/{number}.png")
    return folder


def write(folder: Path, rows: list[dict], kind: str = "csv") -> Path:
    path = folder / f"manifest.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path, **options) -> tuple[dict[str, Study], dict[str, str]]:
    items = list(Manifest(path, **options))
    studies = {item.id: item for item in items if isinstance(item, Study)}
    return studies, {item.what: item.why for item in items if isinstance(item, Reject)}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_every_kind_of_table_gives_the_studies(collection, kind):
    studies, rejects = read(write(collection, ROWS, kind))
    assert rejects == {}
    a, b = studies["a"], studies["b"]
    assert [(i.path, i.view) for i in a.images] == [
        (str(collection / "x/1.png"), "frontal"),
        (str(collection / "x/2.png"), "lateral"),
    ]
    assert (a.report, a.split, b.split) == ("Clear lungs.", "train", "val")
    assert a.labels is not None and b.labels is None
    assert (a.labels["No Finding"], a.labels["Edema"], a.labels["Fracture"]) == (1, 0, None)
    assert len(a.labels) == 14
    assert b.images[0].view == "frontal"


def test_json_lines_may_hold_lists_and_objects(collection):
    row = {
        "id": 7,
        "image": ["x/1.png", "x/2.png"],
        "view": ["AP", "lateral"],
        "report": "Clear.",
        "split": "test",
        "labels": {"Edema": -1, "Fracture": None},
    }
    studies, rejects = read(write(collection, [row], "jsonl"))
    assert rejects == {}
    assert [image.view for image in studies["7"].images] == ["frontal", "lateral"]
    labels = studies["7"].labels
    assert labels is not None and (labels["Edema"], labels["Fracture"]) == (-1, None)


def test_an_annotation_of_another_set(collection):
    entry = {"id": "a", "report": "Clear.", "split": "val", "image_path": ["1.png", "2.png"]}
    path = collection / "annotation.json"
    path.write_text(json.dumps({"val": [entry]}))
    assert read(path)[1]["a"] == "no image"
    studies, rejects = read(path, roots=[collection / "x"])
    assert rejects == {}
    assert [image.view for image in studies["a"].images] == ["frontal", "lateral"]
    assert studies["a"].split == "val"


def test_a_folder_of_images_is_for_generation(collection, capfd):
    (collection / "notes.txt").write_text("no image")
    (collection / ".hidden.png").write_bytes(b"")
    out = collection.parent / "out"
    app(
        ["manifest", str(collection), "--out", str(out), "--size", "32"],
        standalone_mode=False,
    )
    dataset = PreparedDataset.open(out)
    assert dataset.ids("test") == ["x/1.png", "x/2.png", "x/3.png", "x/4.png"]
    study = dataset.study(0)
    assert (study.report, study.labels, study.graph, study.landmarks) == ("", None, None, None)
    (reject,) = (out / "rejects.jsonl").read_text().splitlines()
    assert "notes.txt" in reject and "neither PNG" in reject
    app(["check", str(out)], standalone_mode=False)
    assert "content verified" in capfd.readouterr().out


def test_without_a_column_headers_say_the_view_and_then_the_order(collection, dicom, capfd):
    for name, position in (("ll", "LL"), ("pa", "PA"), ("no", "")):
        (collection / name).write_bytes(radiograph(dicom, len(name), ViewPosition=position))
    rows = [
        {"id": "a", "image": "ll;pa", "report": "Clear.", "split": "train"},
        {"id": "b", "image": "none.png;x/1.png", "report": "Clear.", "split": "train"},
        {"id": "c", "image": "no;x/1.png", "report": "Clear.", "split": "train"},
    ]
    studies, _ = read(write(collection, rows))
    read_as = {
        id: [(Path(i.path).name, i.view, i.view_source) for i in study.images]
        for id, study in studies.items()
    }
    assert read_as == {
        "a": [("pa", "frontal", "view position"), ("ll", "lateral", "view position")],
        "b": [("1.png", "lateral", "order")],  # the lost one was the first
        "c": [("no", "frontal", "order"), ("1.png", "lateral", "order")],
    }
    rows = [{**rows[0], "view": "frontal;lateral"}]
    studies, _ = read(write(collection, rows))
    assert [(Path(i.path).name, i.view) for i in studies["a"].images] == [
        *(("ll", "frontal"), ("pa", "lateral")),
    ]
    words = ["manifest", str(write(collection, rows)), "--out", str(collection.parent / "out")]
    with pytest.warns(ImageWarning, match="ll: its DICOM header says lateral, but it is read as"):
        app([*words, "--size", "32"], standalone_mode=False)


def test_a_folder_of_dicom_files_is_grouped_whatever_its_folders(dicom, tmp_path):
    """The same tree as for `kia generate`: tests/cli/test_pictures.py compares the two."""
    write_tree(tmp_path / "pacs", dicom)
    (tmp_path / "pacs" / "PAT1" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(radiograph(dicom, 50, StudyInstanceUID="1.2.3"))
    inputs = read_folder(tmp_path / "pacs")
    items = [item for each in inputs.read(range(len(inputs))) for item in each]
    studies = [item for item in items if isinstance(item, Study)]
    assert [study.id for study in studies] == inputs.ids == [UIDS["A"], UIDS["B"]]
    assert {study.split for study in studies} == {"test"}
    rejects = {item.what: item.why for item in items if isinstance(item, Reject)}
    assert list(rejects) == [
        f"{UIDS['A']} (PAT1/ST1/SE1/1.2.9.1)",
        "1.2.3 (PAT1/out)",
        "1.2.3",
        "PAT2/ST2/SE1/IM000003.IMA",
        "README",
    ]
    assert "HAND" in rejects[f"{UIDS['A']} (PAT1/ST1/SE1/1.2.9.1)"]
    assert "lies outside" in rejects["1.2.3 (PAT1/out)"]
    (tmp_path / "allowed").mkdir()
    (tmp_path / "elsewhere").rename(tmp_path / "allowed" / "x")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "allowed" / "x")
    assert read_folder(tmp_path / "pacs", [tmp_path / "allowed"]).ids == [
        UIDS["A"],
        "1.2.3",
        UIDS["B"],
    ]


def test_a_folder_without_a_chest_x_ray_is_one_line(dicom, tmp_path):
    with pytest.raises(DataError, match="holds no study"):
        read_folder(tmp_path)
    (tmp_path / "a").write_bytes(radiograph(dicom, 1, BodyPartExamined="HAND"))
    with pytest.raises(DataError, match=r"holds no study; a: .*HAND"):
        read_folder(tmp_path)


def test_the_command_prepares_studies_and_keeps_their_labels(collection):
    rows = [*ROWS, {**ROWS[1], "id": "c", "image": "x/none.png"}]
    path, out = write(collection, rows), collection.parent / "out"
    app(["manifest", str(path), "--out", str(out), "--size", "32"], standalone_mode=False)
    dataset = PreparedDataset.open(out)
    assert dataset.info["counts"] == {"train": 1, "val": 1, "test": 0}
    assert dataset.info["source"] == "manifest.csv"
    assert dataset.pixels(0)[:, 5, 5].tolist() == [10, 20]
    first, second = dataset.study(0), dataset.study(1)
    assert first.labels is not None and first.labels["Edema"] == 0
    assert second.labels is not None and second.labels["Edema"] == 1  # by the built-in labeler
    assert [reject["what"] for reject in dataset.rejects()] == ["c (x/none.png)", "c"]


def test_images_outside_the_folder_need_a_root(collection, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (collection / "x/1.png").rename(other / "1.png")
    (collection / "link.png").symlink_to(other / "1.png")
    (collection / "linked").symlink_to(other)
    (collection / "inside.png").symlink_to(collection / "x/2.png")
    outside = ["../other/1.png", str(other / "1.png"), "link.png", "linked/1.png"]
    rows = [{**ROWS[0], "id": name, "image": name, "view": ""} for name in outside]
    inside = ["inside.png", "x/../x/2.png", str(collection / "x/2.png")]
    rows += [{**ROWS[0], "id": name, "image": name, "view": ""} for name in inside]
    path = write(collection, rows)
    studies, rejects = read(path)
    assert list(studies) == inside
    for name in outside:
        assert "lies outside the manifest's folder" in rejects[f"{name} ({name})"]
    studies, rejects = read(path, roots=[other])
    assert rejects == {}
    assert studies["link.png"].images[0].path == str(other / "1.png")


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000, "x", "", "none.png"])
def test_names_that_are_no_images(collection, name):
    with pytest.raises(ImageError) as caught:
        ImageRoots(collection).find(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"report": " "}, "empty report"),
        ({"split": ""}, "no split"),
        ({"image": " ; ", "view": ""}, "no image"),
        ({"image": "x/1.png", "view": "PA;LL"}, "1 images, but 2 views"),
        ({"view": "PA;LAO"}, "view 'LAO' is neither frontal nor lateral"),
        ({"labels": "Oedema=1"}, "label Oedema=1: use a CheXpert observation with 1, 0 or -1"),
        ({"labels": "Edema=2"}, "label Edema=2: use a CheXpert observation with 1, 0 or -1"),
        ({"labels": "Edema"}, "label 'Edema' has no value: write Edema=1, 0 or -1"),
        ({"labels": "{"}, "labels cannot be read: not JSON (Expecting property name"),
    ],
)
def test_a_row_that_is_no_study_is_a_reject(collection, change, why):
    studies, rejects = read(write(collection, [{**ROWS[0], **change}, ROWS[1]]))
    assert rejects["a"].startswith(why)
    assert "b" in studies


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0], ROWS[0]], "study a occurs twice"),
        ([{**ROWS[0], "id": " "}], "holds no study .line 2: no id"),
        ([{**ROWS[0], "split": "holdout"}], "a: split 'holdout' is none of"),
        ([{"id": "a", "picture": "x/1.png"}], "no column image"),
        (
            [{**ROWS[0], "patient": "p"}, {**ROWS[1], "patient": "p"}],
            "patient p is in train and val",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_one_line(collection, rows, message):
    path = write(collection, rows)
    with pytest.raises(DataError, match=message) as caught:
        Manifest(path)
    assert str(path) in str(caught.value)


def test_without_any_split_one_must_be_named(collection):
    rows = [{k: v for k, v in row.items() if k != "split"} for row in ROWS]
    with pytest.raises(UsageError, match="no column split; add one, or --split random"):
        Manifest(write(collection, rows))


def test_a_random_split_keeps_patients_together(collection):
    rows = [
        {"id": f"s{n}", "image": "x/1.png", "report": "Clear.", "patient": f"p{n // 3}"}
        for n in range(60)
    ]
    path = write(collection, rows)
    studies, rejects = read(path, split=RandomSplit(1))
    assert rejects == {}
    splits = {p: {studies[f"s{3 * p + k}"].split for k in range(3)} for p in range(20)}
    assert all(len(found) == 1 for found in splits.values())
    counts = [list(splits.values()).count({name}) for name in ("train", "val", "test")]
    assert counts == [14, 2, 4]  # 7:1:2 of 20 patients


def test_a_split_file_takes_the_place_of_the_column(collection, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("id,split\na,test\n")
    studies, rejects = read(write(collection, ROWS), split=path)
    assert studies["a"].split == "test"
    assert rejects == {"b": "no split"}
    path.write_text("id,split\nz,test\n")
    with pytest.raises(
        DataError,
        match=r"0 of 2 studies of .*manifest\.csv are in .*: none for 'a', while it has 'z'",
    ):
        Manifest(write(collection, ROWS), split=path)


@pytest.mark.parametrize(
    ("name", "view"),
    [  # View Position (0018,5101) as in DICOM PS3.3, C.8.1.2, and in mimic-cxr-2.0.0-metadata.csv
        *((name, "frontal") for name in ("PA", "AP", "AP AXIAL", "PA LLD", "AP RLD", "Frontal")),
        *((name, "lateral") for name in ("LL", "LATERAL", "XTABLE LATERAL", "RL", "SWIMMERS")),
        *((name, None) for name in ("LAO", "RAO", "LPO", "RPO", "", "UNKNOWN")),
        ("postero-anterior", "frontal"),
        ("left lateral", "lateral"),
    ],
)
def test_names_of_views(name, view):
    assert view_named(name) == view
