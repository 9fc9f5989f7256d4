"""Collections with labels and without reports: NIH ChestX-ray14, and a double of CheXpert."""

import csv
import json
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.data.readers.chexpert import read_chexpert
from kia.data.readers.inputs import ListedInputs
from kia.data.readers.nih import FINDINGS, nih_labels, read_nih
from kia.data.readers.splits import RandomSplit
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, UsageError
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import Study

# the header of Data_Entry_2017.csv as NIH publishes it, and rows like its first
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
FILMS = {
    "00000001_000.png": ("Cardiomegaly", "1"),
    "00000001_001.png": ("Cardiomegaly|Emphysema", "1"),
    "00000002_000.png": ("No Finding", "2"),
    "00000003_000.png": ("Hernia", "3"),
    "00000004_000.png": ("Mass|Nodule", "4"),
}


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), len(str(path)), np.uint8)).save(path)


def entries(folder: Path, rows: Iterable[tuple[str, str, str]], header: str = HEADER) -> Path:
    path = folder / "Data_Entry_2017.csv"
    lines = [
        f"{name},{labels},0,{patient},58,M,PA,2682,2749,0.143,0.143,"
        for name, labels, patient in rows
    ]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


@pytest.fixture
def nih(tmp_path: Path) -> Path:
    """The layout of NIH's archives: films in folders of folders."""
    for number, name in enumerate(FILMS):
        picture(tmp_path / f"images_{number:03d}/images/{name}")
    entries(tmp_path, [(name, *about) for name, about in FILMS.items()])
    (tmp_path / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000004_000.png,Mass,256,512,128,64,,,\n"
    )
    return tmp_path


def studies(inputs: ListedInputs) -> dict[str, Study]:
    read = (item for items in inputs.read(range(len(inputs))) for item in items)
    return {item.id: item for item in read if isinstance(item, Study)}


def test_what_nih_does_not_look_for_is_unknown_and_not_absent() -> None:
    """By NIH's 14 labels and CheXpert's hierarchy, by hand."""
    hernia = nih_labels("Hernia")
    unknown = {name for name, state in hernia.items() if state is None}
    assert unknown == {"Enlarged Cardiomediastinum", "Fracture", "Support Devices", "Lung Opacity"}
    assert set(hernia) == set(OBSERVATIONS) and 1 not in hernia.values()
    nothing = nih_labels("No Finding")
    assert (nothing["No Finding"], nothing["Lung Opacity"], nothing["Fracture"]) == (1, 0, None)
    several = nih_labels("Effusion|Infiltration")
    assert [name for name, state in several.items() if state] == [
        "Lung Opacity",
        "Pleural Effusion",
    ]
    assert {n for names in FINDINGS.values() for n in names} <= set(OBSERVATIONS)


def test_a_film_is_a_study_without_report(nih: Path) -> None:
    found = studies(read_nih(nih, nih / "Data_Entry_2017.csv", boxes=nih / "BBox_List_2017.csv"))
    mass = found["00000004_000"]
    assert (mass.report, mass.patient, mass.images[0].view) == ("", "4", "frontal")
    assert mass.labels is not None and mass.labels["Lung Lesion"] == 1
    assert mass.sections["nih"] == "Mass|Nodule"
    assert json.loads(mass.sections["boxes"]) == [["Mass", 0.25, 0.5, 0.125, 0.0625]]
    assert found["00000001_000"].split == found["00000001_001"].split


def test_official_lists_decide_the_test_split(nih: Path) -> None:
    names = list(FILMS)
    for path, listed in (("train_val_list.txt", names[:3]), ("test_list.txt", names[3:])):
        (nih / path).write_text("\n".join(listed))
    lists = (nih / "train_val_list.txt", nih / "test_list.txt")
    found = studies(
        read_nih(nih, nih / "Data_Entry_2017.csv", lists=lists, split=RandomSplit(ratio=(1, 1, 9)))
    )
    assert {study.split for study in found.values()} == {"train", "val", "test"}
    assert [found[name[:-4]].split == "test" for name in names] == [False] * 3 + [True] * 2
    lists[1].write_text(names[1])
    with pytest.raises(DataError, match="both hold"):
        read_nih(nih, nih / "Data_Entry_2017.csv", lists=lists)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a.png", "Cardiomegalie", "1")], "line 2: the label 'Cardiomegalie' is none of NIH's"),
        ([("a.png", "No Finding|Mass", "1")], "line 2: No Finding stands beside another label"),
        (
            [("a.png", "Mass", "1"), ("a.png", "Hernia", "1")],
            "line 3: a.png is there twice, with different labels",
        ),
        ([("a.png", "Mass", "")], "line 2: no patient id"),
        ([("a.png", "Mass", "1")], "no image of the table is there; a.png: image is missing"),
    ],
)
def test_bad_tables_are_refused_in_one_line(
    tmp_path: Path, rows: list[tuple[str, str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_nih(tmp_path, entries(tmp_path, rows))


def test_films_without_patients_are_not_split_by_image_unless_said(nih: Path) -> None:
    table = nih / "few.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows(
            [("filename", "labels", "view"), *((n, a[0], "AP") for n, a in FILMS.items())]
        )
    with pytest.raises(UsageError, match="no column patient id or patient_id; --split-by image"):
        read_nih(nih, table)
    assert all(s.patient is None for s in studies(read_nih(nih, table, by_image=True)).values())


def test_the_command_prepares_them(nih: Path, tmp_path: Path, kia_command) -> None:
    table, out = nih / "Data_Entry_2017.csv", tmp_path / "out"
    code, said, error = kia_command(
        *("data", "nih", "--images", str(nih), "--labels", str(table), "--out", str(out)),
        *("--size", "32", "--workers", "1"),
    )
    assert code == 0, error
    dataset = PreparedDataset.open(out)
    assert len(dataset) == len(FILMS) and "5 frontal" in said
    stored = dataset.study(dataset.index_of("00000003_000"))
    assert stored.labels == nih_labels("Hernia") and stored.landmarks is None
    assert dataset.info["knowledge"]["train"]["reports"] == 0


@pytest.mark.slow
def test_real_films_of_nih() -> None:
    root = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("KIA_NIH", root / "nih_labelled"))
    if not (folder / "labels.csv").is_file():
        pytest.skip("needs labelled films of NIH: set KIA_NIH to their folder")
    found = studies(read_nih(folder / "images", folder / "labels.csv"))
    assert len(found) == 1136  # as the folder's description says
    assert len({study.patient for study in found.values()}) == 924  # of its table
    # counted in its table by `cut` and `grep`
    assert sum(study.sections["nih"] == "No Finding" for study in found.values()) == 409


CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding," + ",".join(OBSERVATIONS[:-1])
"""The header of CheXpert-v1.0's train.csv."""


def chexpert(folder: Path, rows: list[tuple[str, str, str]], name: str = "train.csv") -> Path:
    """A double: path, view, and labels as "Edema=1.0 Fracture=-1.0"."""
    columns = ["No Finding", *OBSERVATIONS[:-1]]
    lines = [CHEXPERT]
    for path, view, said in rows:
        labels = dict(one.split("=") for one in said.split(";") if one)
        cells = ",".join(labels.get(column, "") for column in columns)
        lines.append(f"CheXpert-v1.0-small/{path},Female,68,{view},AP,{cells}")
        picture(folder / path)
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def test_images_of_a_study_of_chexpert_come_together(tmp_path: Path) -> None:
    study = "train/patient00001/study1"
    said = "Edema=1.0;Fracture=-1.0;Pneumonia=0.0"
    chexpert(
        tmp_path,
        [
            (f"{study}/view2_lateral.jpg", "Lateral", said),
            (f"{study}/view1_frontal.jpg", "Frontal", said),
        ],
    )
    chexpert(
        tmp_path, [("valid/patient00009/study1/view1_frontal.jpg", "Frontal", "")], "valid.csv"
    )
    found = studies(read_chexpert(tmp_path))
    one = found["patient00001/study1"]
    assert [image.view for image in one.images] == ["frontal", "lateral"]
    assert one.labels is not None and one.report == "" and one.patient == "patient00001"
    assert [one.labels[n] for n in ("Edema", "Fracture", "Pneumonia", "Atelectasis")] == [
        1,
        -1,
        0,
        0,
    ]
    assert found["patient00009/study1"].split == "val"
    labels = studies(read_chexpert(tmp_path, blank="unknown"))["patient00001/study1"].labels
    assert labels is not None and labels["Atelectasis"] is None and labels["Pneumonia"] == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("train/patient1/study1/a.jpg", "Frontal", "Edema=2.0")],
            "line 2: Edema is '2'; labels",
        ),
        (
            [
                ("train/patient1/study1/a.jpg", "Frontal", "Edema=1.0"),
                ("train/patient1/study1/b.jpg", "Lateral", "Edema=0.0"),
            ],
            "line 3: patient1/study1 is there twice, with different labels",
        ),
        (
            [("elsewhere/a.jpg", "Frontal", "")],
            "line 2: 'CheXpert-v1.0-small/elsewhere/a.jpg' is no",
        ),
    ],
)
def test_bad_tables_of_chexpert_are_refused(
    tmp_path: Path, rows: list[tuple[str, str, str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_chexpert(chexpert(tmp_path, rows))


def test_a_patient_of_chexpert_in_two_splits_is_refused(tmp_path: Path) -> None:
    chexpert(tmp_path, [("train/patient1/study1/a.jpg", "Frontal", "")])
    chexpert(tmp_path, [("valid/patient1/study2/a.jpg", "Frontal", "")], "valid.csv")
    with pytest.raises(DataError, match=r"valid\.csv, line 2: patient1 is in train, too"):
        read_chexpert(tmp_path)
