"""MIMIC-CXR-JPG: a small tree as PhysioNet lays it out, with made-up patients."""

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.cli.data.command import app
from kia.data.prepare import Reject
from kia.data.readers.mimic_cxr import studies as mimic_cxr
from kia.data.readers.mimic_cxr.studies import MIMICCXR
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import Study
from kia.tables.notes import Note


def dicom(number: int) -> str:
    return f"{number:08x}-1a2b3c4d-5e6f7081-92a3b4c5-d6e7f809"


# dicom, study, subject, split, ViewPosition, ViewCodeSequence_CodeMeaning
IMAGES = [
    (1, "50000001", "10000001", "train", "LATERAL", "lateral"),
    (2, "50000001", "10000001", "train", "PA", "postero-anterior"),
    (3, "50000002", "10000001", "train", "AP", "antero-posterior"),
    (4, "50000003", "11000002", "validate", "", "left lateral"),
    (5, "50000003", "11000002", "validate", "", ""),
    (6, "50000004", "19000003", "test", "LAO", "left anterior oblique"),
    (7, "50000005", "19000003", "test", "PA", "postero-anterior"),
    (8, "50000006", "19000003", "test", "AP", "antero-posterior"),
]
TEXTS = {
    "50000001": " FINAL REPORT\n INDICATION:  ___.\n FINDINGS:\n \n Clear.\n IMPRESSION:\n Fine.\n",
    "50000002": " WET READ: ___ ___\n No.\n ______\n FINAL REPORT\n FINDINGS:  Edema of ___.\n",
    "50000003": " FINAL REPORT\n FINDINGS:  Normal heart.\n",
    "50000004": " FINAL REPORT\n PORTABLE AP OF ___\n \n Large effusion.\n",
    "50000005": " FINAL REPORT\n IMPRESSION:  No change.\n",
}  # and no report for study 50000006


class Tree:
    def __init__(self, folder: Path) -> None:
        self.root, self.reports = folder / "mimic-cxr-jpg", folder / "mimic-cxr"
        for number, study, subject, *_ in IMAGES:
            path = self.image(number, study, subject)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((20, 16), 10 * number, np.uint8)).save(path)
            text = self.reports / f"files/p{subject[:2]}/p{subject}/s{study}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            if study in TEXTS:
                text.write_text(TEXTS[study])
        self.table(
            "split",
            "dicom_id,study_id,subject_id,split",
            [(dicom(n), study, subject, split) for n, study, subject, split, *_ in IMAGES],
        )
        header = "dicom_id,subject_id,study_id,ViewPosition,ViewCodeSequence_CodeMeaning"
        self.table(
            "metadata",
            header,
            [(dicom(n), subject, study, view, code) for n, study, subject, _, view, code in IMAGES],
        )

    def image(self, number: int, study: str, subject: str) -> Path:
        folder = self.root / f"files/p{subject[:2]}/p{subject}/s{study}"
        return folder / f"{dicom(number)}.jpg"

    def table(self, name: str, header: str, rows: list) -> None:
        lines = "\n".join([header, *(",".join(map(str, row)) for row in rows)])
        path = self.root / f"mimic-cxr-2.0.0-{name}.csv.gz"
        path.write_bytes(gzip.compress(lines.encode()))

    def annotation(self) -> Path:
        """R2Gen's: an entry an image, of studies with findings."""
        content: dict[str, list] = {"train": [], "val": [], "test": []}
        for number, text, split in ((2, "clear .", "train"), (3, "edema .", "train")):
            content[split].append({"id": dicom(number), "report": text, "split": split})
        content["val"].append({"id": dicom(5), "report": "normal heart .", "split": "val"})
        path = self.root / "annotation.json"
        path.write_text(json.dumps(content))
        return path

    def read(self, **options) -> tuple[dict[str, Study], dict[str, str]]:
        items = list(MIMICCXR(self.root, reports=self.reports, **options))
        studies = {item.id: item for item in items if isinstance(item, Study)}
        return studies, {item.what: item.why for item in items if isinstance(item, Reject)}


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Tree:
    monkeypatch.setattr(mimic_cxr, "IMAGE_COUNT", len(IMAGES))
    monkeypatch.setattr(mimic_cxr, "R2GEN_COUNTS", {"train": 2, "val": 1, "test": 0})
    return Tree(tmp_path)


def views(study: Study) -> list[tuple[str, str]]:
    return [(Path(image.path).stem[:8], image.view) for image in study.images]


def test_one_image_a_sample(tree):
    studies, rejects = tree.read()
    assert list(studies) == [dicom(n) for n in (1, 2, 3, 4, 5)]
    assert [study.split for study in studies.values()] == ["train"] * 3 + ["val"] * 2
    assert studies[dicom(1)].report == studies[dicom(2)].report == "Clear."
    assert studies[dicom(1)].sections == {
        "indication": "___.",
        "findings": "Clear.",
        "impression": "Fine.",
    }
    assert [image.view for s in studies.values() for image in s.images] == [
        *("lateral", "frontal", "frontal", "lateral", "frontal")
    ]
    assert rejects == {
        dicom(6): "empty findings",
        dicom(7): "empty findings",
        dicom(8): "no report",
    }


def test_one_study_a_sample_reads_the_frontal_view_first(tree):
    studies, _ = tree.read(samples="study")
    assert list(studies) == ["s50000001", "s50000002", "s50000003"]
    assert views(studies["s50000001"]) == [("00000002", "frontal"), ("00000001", "lateral")]
    assert views(studies["s50000003"]) == [("00000005", "frontal"), ("00000004", "lateral")]


def test_a_view_that_is_known_comes_before_one_that_is_not(tree):
    rows = [(dicom(n), "" if n == 1 else view) for n, _, _, _, view, _ in IMAGES]
    tree.table("metadata", "dicom_id,ViewPosition", rows)
    studies, _ = tree.read(samples="study")
    assert views(studies["s50000001"]) == [("00000002", "frontal"), ("00000001", "frontal")]


@pytest.mark.parametrize(
    ("chosen", "numbers"), [("frontal", [2, 3]), ("lateral", [1, 4]), ("all", [1, 2, 3, 4, 5])]
)
def test_only_the_views_asked_for(tree, chosen, numbers):
    assert list(tree.read(views=chosen)[0]) == [dicom(n) for n in numbers]


@pytest.mark.parametrize(
    ("section", "reports"),
    [
        ("impression", {1: "Fine.", 7: "No change."}),
        ("both", {1: "Clear.\nFine.", 6: "Large effusion.", 7: "No change."}),
        ("report", {2: "INDICATION: ___.\nFINDINGS: Clear.\nIMPRESSION: Fine."}),
        ("report", {3: "FINDINGS: Edema of ___."}),
    ],
)
def test_sections(tree, section, reports):
    studies, _ = tree.read(section=section)
    assert {n: studies[dicom(n)].report for n in reports} == reports


def test_r2gen_annotation_gives_samples_text_and_split(tree):
    studies, rejects = tree.read(annotation=tree.annotation())
    assert rejects == {}
    assert {name: (s.report, s.split) for name, s in studies.items()} == {
        dicom(2): ("clear .", "train"),
        dicom(3): ("edema .", "train"),
        dicom(5): ("normal heart .", "val"),
    }
    assert studies[dicom(2)].sections["impression"] == "Fine."
    studies = {s.id: s for s in MIMICCXR(tree.root, annotation=tree.annotation())}
    assert studies[dicom(2)].sections == {}  # the images alone are enough
    found, _ = tree.read(annotation=tree.annotation(), section="findings")
    assert found[dicom(2)].report == "Clear."


def test_sectioned_reports_take_the_place_of_the_files(tree, tmp_path):
    path = tmp_path / "mimic_cxr_sectioned.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study", "impression", "findings", "last_paragraph", "comparison"])
        writer.writerow(["s50000001", "", "From the table,\n all of it.", "", ""])
        writer.writerow(["s50000004", "", "", "The end.", ""])
    studies, rejects = tree.read(sectioned=path)
    assert {s.report for s in studies.values()} == {"From the table,\n all of it."}
    assert rejects[dicom(3)] == "no report"
    assert tree.read(sectioned=path, section="both")[0][dicom(6)].report == "The end."


def test_the_command_prepares_official_splits_and_labels(tree, tmp_path):
    row = ["10000001", "50000001", *("1.0" if n == "Edema" else "" for n in OBSERVATIONS)]
    tree.table("chexpert", ",".join(["subject_id", "study_id", *OBSERVATIONS]), [row])
    words = [str(tree.root), "--reports", str(tree.reports), "--size", "32"]
    out = tmp_path / "out"
    app(["mimic-cxr", *words, "--samples", "study", "--out", str(out)], standalone_mode=False)
    dataset = PreparedDataset.open(out)
    assert dataset.info["counts"] == {"train": 2, "val": 1, "test": 0}
    assert dataset.info["source"] == "MIMIC-CXR-JPG"
    first, second = dataset.study(0), dataset.study(1)
    assert first.labels is not None and first.labels["Edema"] == 1
    assert second.labels is not None and second.labels["Edema"] == 1  # by the built-in labeler
    assert dataset.pixels(0)[:, 5, 5].tolist() == [20, 10]
    assert {r["why"] for r in dataset.rejects()} == {"empty findings", "no report"}


def test_the_command_deidentifies(tree, tmp_path):
    row = ["10000001", "50000001", *("1.0" if n == "Edema" else "" for n in OBSERVATIONS)]
    tree.table("chexpert", ",".join(["subject_id", "study_id", *OBSERVATIONS]), [row])
    for path in tree.reports.rglob("s50000001.txt"):
        path.write_text(path.read_text() + " Dr. Okonkwo was told.\n")
    (tmp_path / "kia.key").write_text("0123456789abcdef" * 4)
    words = [str(tree.root), "--reports", str(tree.reports), "--size", "32"]
    key = ["--deidentify", "--deidentify-key", str(tmp_path / "kia.key")]
    out = tmp_path / "out"
    app(
        ["mimic-cxr", *words, *key, "--section", "report", "--out", str(out)], standalone_mode=False
    )
    study = PreparedDataset.open(out).study(0)
    assert "Dr. ___ was told." in study.report
    assert study.labels is not None and study.labels["Edema"] == 1  # joined by the number of before
    everything = b"".join(path.read_bytes() for path in out.iterdir())
    for canary in (
        b"Okonkwo",
        b"50000001",
        b"10000001",
        dicom(1).encode(),
        b"0123456789abcdef" * 4,
    ):
        assert canary not in everything


def test_radgraphs_and_the_labelers_own_files_meet_the_images_of_a_study(tree, tmp_path):
    """Graphs of whole reports by path (`MIMIC-CXR_graphs.json`), labels by bare numbers."""
    edema = {"tokens": "Edema", "label": "OBS-DP", "start_ix": 6, "end_ix": 6, "relations": []}
    asked = {"tokens": "CHF", "label": "OBS-U", "start_ix": 3, "end_ix": 3, "relations": []}
    record = {
        "text": "FINAL REPORT INDICATION: CHF FINDINGS : Edema of ___ .",
        "entities": {"1": asked, "2": edema},
        "data_source": "MIMIC-CXR",
        "data_split": "inference",
    }
    graphs = tmp_path / "MIMIC-CXR_graphs.json"
    graphs.write_text(json.dumps({"p10/p10000001/s50000002.txt": record}))
    row = ["10000001", "50000002", *("-1.0" if n == "Edema" else "" for n in OBSERVATIONS)]
    tree.table("chexpert", ",".join(["subject_id", "study_id", *OBSERVATIONS]), [row])
    words = [
        str(tree.root),
        "--reports",
        str(tree.reports),
        "--size",
        "32",
        "--graphs",
        str(graphs),
    ]
    words += ["--labels", str(tree.root / "mimic-cxr-2.0.0-chexpert.csv.gz")]
    for samples, name in (("image", dicom(3)), ("study", "s50000002")):
        out = tmp_path / samples
        with pytest.warns(Note, match=r"1 of \d studies of the data set are in .*: none for"):
            app(
                ["mimic-cxr", *words, "--samples", samples, "--out", str(out)],
                standalone_mode=False,
            )
        dataset = PreparedDataset.open(out)
        study = dataset.study(dataset.index_of(name))
        assert study.labels is not None and study.labels["Edema"] == -1
        assert study.graph is not None and study.graph["text"] == "Edema of ___ ."
        (entity,) = study.graph["entities"].values()
        assert (entity["tokens"], entity["start_ix"]) == ("Edema", 0)


def test_missing_images_are_named_or_rejected(tree):
    tree.image(2, "50000001", "10000001").unlink()
    with pytest.raises(DataError, match=r"1 images are missing, first: p10/p10000001/s50000001/"):
        tree.read()
    studies, rejects = tree.read(samples="study", complete=False)
    assert views(studies["s50000001"]) == [("00000001", "lateral")]
    assert rejects[f"s50000001 ({dicom(2)}.jpg)"] == "image is missing"
    _, rejects = tree.read(complete=False)
    assert rejects[dicom(2)] == "no image"


def test_other_counts_than_the_published_ones(tree, monkeypatch):
    monkeypatch.setattr(mimic_cxr, "IMAGE_COUNT", 377_110)
    with pytest.raises(DataError, match="has 8 images instead of 377,110; --incomplete"):
        tree.read()
    assert len(tree.read(complete=False)[0]) == 5
    monkeypatch.setattr(mimic_cxr, "R2GEN_COUNTS", {"train": 270_790, "val": 2_130, "test": 3_858})
    with pytest.raises(DataError, match="has 2/1/0 samples instead of 270,790/2,130/3,858"):
        tree.read(annotation=tree.annotation())


def test_unpacked_tables_and_a_folder_without_files_are_fine(tree):
    for path in tree.root.glob("*.csv.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    for part in (tree.root / "files").iterdir():
        part.rename(tree.root / part.name)
    assert len(tree.read()[0]) == 5


def test_a_link_out_of_the_folder_of_images_is_refused(tree, tmp_path):
    image = tree.image(3, "50000002", "10000001")
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    studies, rejects = tree.read()
    assert dicom(3) not in studies
    assert "a symbolic link leads out of" in rejects[f"{dicom(3)} ({dicom(3)}.jpg)"]


def _spoil_ids(tree: Tree) -> None:
    tree.table("split", "dicom_id,study_id,subject_id,split", [("x/../../y", "1", "10", "train")])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: (t.root / "mimic-cxr-2.0.0-split.csv.gz").unlink(), "no such file"),
        (lambda t: t.table("metadata", "dicom_id", []), "no column ViewPosition"),
        (
            lambda t: t.table("metadata", "dicom_id,ViewPosition", [("x", "PA")]),
            "is missing, which",
        ),
        (_spoil_ids, "are not ids of MIMIC-CXR"),
        (lambda t: (t.root / "files").rename(t.root / "images"), "holds no files/p10"),
        (lambda t: [p.unlink() for p in t.reports.rglob("*.txt")], "mimic-cxr-reports.zip"),
    ],
)
def test_what_is_missing_or_malformed_is_one_line(tree, spoil, message):
    spoil(tree)
    with pytest.raises(DataError, match=message) as caught:
        tree.read()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("pipe", "not a regular file"),
        ("loop", "Too many levels of symbolic links"),
        ("folder", "not a regular file"),
        ("huge", "more than"),
    ],
)
def test_a_report_that_is_no_file_costs_its_study_alone(tree, kind, why):
    report = tree.reports / "files/p10/p10000001/s50000001.txt"
    report.unlink()
    if kind == "pipe":
        os.mkfifo(report)
    elif kind == "loop":
        report.symlink_to(report.name)
    elif kind == "folder":
        report.mkdir()
    else:
        report.write_text("x" * (2 << 20))
    studies, rejects = tree.read()
    assert list(studies) == [dicom(n) for n in (3, 4, 5)]
    assert why in rejects[dicom(1)] and why in rejects[dicom(2)]
