"""IU X-Ray from Open-i's XML, Kaggle's tables or R2Gen's files: the same studies."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from kia.data.readers.iu_xray import studies as iu_xray
from kia.data.readers.iu_xray.reports import image_key, read_reports, study_id
from kia.data.readers.iu_xray.studies import read_iu_xray
from kia.data.readers.splits import RandomSplit
from kia.errors import DataError, UsageError


def told(studies) -> dict[str, tuple]:
    """All that matters of studies, by id."""
    return {s.id: (s.split, s.report, s.images, dict(s.sections)) for s in studies}


def without_ids(studies) -> dict[str, tuple]:
    """The same by number: the fake annotation lacks the digit that Kaggle dropped, too."""
    return {id.split("_")[0]: value for id, value in told(studies).items()}


@pytest.fixture
def routes(fake):
    fake.write()
    images, annotation, table, projections = fake.files()
    folder, archive = fake.write_xml(), fake.write_archive()
    return {
        "r2gen": (images, annotation, table, projections),
        "r2gen xml": (images, annotation, archive, projections),
        "csv": (images, None, table, projections),
        "xml": (images, None, folder, projections),
        "tgz": (images, None, archive, projections),
    }


def test_all_routes_give_the_same_studies(fake, routes):
    expected, _ = read_iu_xray(*routes["r2gen"])
    assert Counter(study.split for study in expected) == fake.counts
    assert told(read_iu_xray(*routes["r2gen xml"])[0]) == told(expected)
    split = fake.folder / "annotation.json"
    read = {name: read_iu_xray(*routes[name], split=split)[0] for name in ("csv", "xml", "tgz")}
    assert told(read["csv"]) == told(read["xml"]) == told(read["tgz"])
    assert without_ids(read["csv"]) == without_ids(expected)
    assert read["csv"][0].id == "CXR1_1_IM-0001"  # as in R2Gen's annotation
    assert [s.id for s in read["csv"][1:]] == [s.id for s in expected[1:]]


def test_a_random_split_is_the_same_on_all_routes(routes):
    csv_route, xml_route = (
        told(read_iu_xray(*routes[name], split=RandomSplit(3))[0]) for name in ("csv", "xml")
    )
    assert csv_route == xml_route
    assert Counter(split for split, *_ in csv_route.values()) == {"train": 8, "val": 2, "test": 2}


@pytest.mark.parametrize(
    ("name", "key", "study"),
    [  # names as in NLMCXR_reports.tgz and indiana_projections.csv; ids as in annotation.json
        ("CXR1_1_IM-0001-3001.png", ("1", "IM-0001-3001"), "CXR1_1_IM-0001"),
        ("1_IM-0001-3001.dcm.png", ("1", "IM-0001-3001"), "CXR1_1_IM-0001"),
        ("2372_IM-0933-0001-0002.dcm.jpg", ("2372", "IM-0933-0001-0002"), "CXR2372_IM-0933-0001"),
        ("CXR2372_IM-0933-0001-0002", ("2372", "IM-0933-0001-0002"), "CXR2372_IM-0933-0001"),
        ("2384_IM-0942-1001.dcm.png", ("2384", "IM-0942-1001"), "CXR2384_IM-0942"),
    ],
)
def test_image_names_of_all_sources_mean_the_same(name, key, study):
    assert image_key(name) == key
    assert study_id([name]) == study


def test_without_projections_the_first_image_counts_as_frontal(routes):
    images, _, archive, _ = routes["tgz"]
    (study, *_), rejects = read_iu_xray(images, None, archive, split=RandomSplit())
    assert [(Path(i.path).name, i.view) for i in study.images] == [
        ("1_IM-0001-1001.dcm.jpg", "frontal"),
        ("1_IM-0001-2001.dcm.jpg", "lateral"),
    ]
    assert rejects == []


def test_r2gen_folders_need_no_tables(fake):
    folder = fake.write_r2gen_images()
    fake.write()
    (folder / "CXR2_IM-0002" / "1.png").unlink()
    studies, rejects = read_iu_xray(folder, fake.files()[1])
    assert [(Path(i.path).name, i.view) for i in studies[0].images] == [
        *(("0.png", "frontal"), ("1.png", "lateral"))
    ]
    assert len(studies[1].images) == 1
    assert [(r.what, r.why) for r in rejects] == [("CXR2_IM-0002 (1.png)", "image is missing")]
    assert studies[0].sections == {"findings": studies[0].report}
    by_xml, _ = read_iu_xray(folder, None, fake.write_archive(), split=fake.files()[1])
    assert {s.id: s.images for s in by_xml} == {s.id: s.images for s in studies}


def test_paths_of_an_annotation_do_not_leave_the_folder_of_images(fake):
    folder = fake.write_r2gen_images()
    fake.annotation["train"][0]["image_path"] = ["../../secret.png", "/etc/hostname"]
    (fake.folder / "secret.png").write_bytes(b"")
    fake.write()
    _, rejects = read_iu_xray(folder, fake.files()[1], complete=False)
    assert {r.what for r in rejects} >= {"CXR1_IM-0001 (secret.png)", "CXR1_IM-0001 (hostname)"}


@pytest.mark.parametrize("form", ["flat", "r2gen", "folder"])
def test_links_out_of_the_folder_of_images_are_refused(fake, form):
    folder = fake.write_r2gen_images() if form != "flat" else fake.folder / "images"
    fake.write()
    moved = {
        "flat": fake.image("1_IM-0001-1001.dcm.png"),
        "r2gen": folder / "CXR1_IM-0001" / "0.png",
        "folder": folder / "CXR1_IM-0001",
    }[form]
    moved.rename(fake.folder / "elsewhere")
    moved.symlink_to(fake.folder / "elsewhere")
    with pytest.raises(DataError, match=r"a symbolic link leads out of .*put the image itself"):
        read_iu_xray(folder, *fake.files()[1 : 3 if form != "flat" else 4], complete=False)


def test_sections(fake, routes):
    fake.reports[1]["impression"] = " "
    fake.write()

    def reports(section):
        studies, rejects = read_iu_xray(*routes["r2gen"], section=section)
        return {s.id.split("_")[0]: s.report for s in studies}, [(r.what, r.why) for r in rejects]

    findings, rejects = reports("findings")
    assert findings["CXR2"] == "Heart size normal. Report 2."
    assert rejects == []
    impression, rejects = reports("impression")
    assert impression["CXR1"] == "Normal."
    assert rejects == [("CXR2_IM-0002", "empty impression")]
    both, _ = reports("both")
    assert both["CXR1"] == "Heart size normal. Report 1.\nNormal."
    assert both["CXR2"] == "Heart size normal. Report 2."
    studies, _ = read_iu_xray(*routes["csv"], split=RandomSplit(), section="report")
    assert studies[0].report == "FINDINGS: Heart size normal. Report 1.\nIMPRESSION: Normal."


def test_a_split_file_names_studies_by_number_or_id(fake, routes, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("id,split\n2,test\nCXR3,val\nCXR4_IM-0004,train\n")
    studies, rejects = read_iu_xray(*routes["xml"], split=path)
    assert {s.id: s.split for s in studies} == {
        "CXR2_IM-0002": "test",
        "CXR3_IM-0003": "val",
        "CXR4_IM-0004": "train",
    }
    assert Counter(r.why for r in rejects) == {"not in the split file": 9}
    path.write_text("id,split\n2,test\n99,val\n")
    with pytest.raises(DataError, match="99: in the split file, but not among the studies"):
        read_iu_xray(*routes["xml"], split=path)
    assert len(read_iu_xray(*routes["xml"], split=path, complete=False)[0]) == 1


def test_a_report_without_findings_or_images_is_no_loss_but_a_lost_image_is(fake, routes):
    fake.reports[1]["findings"] = ""
    fake.projections = [row for row in fake.projections if row[0] != "3"]
    fake.write()
    studies, rejects = read_iu_xray(*routes["csv"], split=RandomSplit())
    assert len(studies) == 10
    assert {r.what: r.why for r in rejects} == {
        "CXR2_IM-0002": "empty findings",
        "CXR3": "no image",
    }
    for number in (1001, 2001, 3001):
        fake.image(f"4_IM-0004-{number}.dcm.png").unlink()
    with pytest.raises(DataError, match="1 studies are lost, first: CXR4_IM-0004: no image"):
        read_iu_xray(*routes["csv"], split=RandomSplit())
    assert len(read_iu_xray(*routes["csv"], split=RandomSplit(), complete=False)[0]) == 9


def test_another_number_of_reports_is_noticed(routes, monkeypatch):
    monkeypatch.setattr(iu_xray, "REPORT_COUNTS", (3851, 3955))
    with pytest.raises(DataError, match="holds 12 reports instead of 3,851 or 3,955"):
        read_iu_xray(*routes["csv"], split=RandomSplit())


def test_a_damaged_xml_file_is_a_reject(fake):
    folder = fake.write_xml()
    (folder / "1.xml").write_text("<eCitation>")
    (folder / "2.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]>' + fake.xml(2)[38:])
    (folder / "3.xml").write_text(fake.xml(3).replace('"CXR3"', '"X"'))
    (folder / "4.xml").write_bytes(fake.xml(4).encode() + b" " * (1 << 20))
    for number, kind in ((5, "pipe"), (6, "loop")):
        (folder / f"{number}.xml").unlink()
        if kind == "pipe":
            os.mkfifo(folder / "5.xml")
        else:
            (folder / "6.xml").symlink_to("6.xml")
    reports, lost = read_reports(folder)
    assert list(reports) == [str(uid) for uid in range(7, 13)]
    assert [reject.what for reject in lost] == [f"{number}.xml" for number in range(1, 7)]


def test_sources_that_are_no_reports_are_one_line(fake, tmp_path):
    broken = tmp_path / "reports.tgz"
    archive = fake.write_archive()
    (tmp_path / "empty").mkdir()
    (tmp_path / "uid.csv").write_text("uid,indication,comparison,findings,impression\nx,,,,\n")
    cases = {
        tmp_path / "absent.tgz": "no such file",
        broken: "not readable as a tar archive",
        tmp_path / "empty": "holds no report",
        tmp_path / "uid.csv": "uid 'x' is not a number",
    }
    broken.write_bytes(archive.read_bytes()[:200])
    for path, message in cases.items():
        with pytest.raises(DataError, match=message) as caught:
            read_reports(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs --reports, or --annotation"),
        ({"reports": Path("x")}, "say how to split"),
        ({"annotation": Path("x"), "section": "both"}, "needs --reports"),
    ],
)
def test_what_the_sources_cannot_tell_is_asked_for(options, message):
    with pytest.raises(UsageError, match=message):
        read_iu_xray(Path("images"), **options)


@pytest.mark.iu_xray
def test_the_real_routes_agree(iu_xray):
    images, annotation = iu_xray / "images", iu_xray / "annotation.json"
    table, projections = iu_xray / "indiana_reports.csv", iu_xray / "indiana_projections.csv"
    archive = iu_xray / "NLMCXR_reports.tgz"
    base = {s.id: s for s in read_iu_xray(images, annotation, table, projections)[0]}
    xml, _ = read_iu_xray(images, None, archive, projections, split=annotation)
    kaggle, _ = read_iu_xray(images, None, table, projections, split=annotation)
    alone, _ = read_iu_xray(images, annotation)
    for route in (xml, kaggle, alone):
        assert {s.id: (s.split, s.report) for s in route} == {
            s.id: (s.split, s.report) for s in base.values()
        }
    assert all(s.images == base[s.id].images for s in (*xml, *kaggle))
    assert sum(s.images == base[s.id].images for s in alone) == 2584
    # A spreadsheet turned indications that begin with + or - into errors.
    with table.open(newline="", encoding="utf-8") as file:
        spoilt = {row["uid"] for row in csv.DictReader(file) if row["indication"] == "#NAME?"}
    other = {s.id for s in xml if dict(s.sections) != dict(base[s.id].sections)}
    assert spoilt == {id.removeprefix("CXR").split("_")[0] for id in other}


@pytest.mark.iu_xray
def test_the_real_reports_have_the_published_counts(iu_xray):
    xml, lost = read_reports(iu_xray / "NLMCXR_reports.tgz")
    assert (len(xml), sum(len(r.images) for r in xml.values()), lost) == (3955, 7470, [])
    assert len(read_reports(iu_xray / "indiana_reports.csv")[0]) == 3851
