"""IU X-Ray: studies, views and splits as published; every loss has a reason."""

from collections import Counter
from pathlib import Path

import pytest

from kia.data.readers.iu_xray.studies import read_iu_xray
from kia.errors import DataError


def views(study) -> list[str]:
    return [image.view for image in study.images]


def test_first_frontal_and_first_lateral_become_the_views(fake):
    fake.projections[:2] = fake.projections[1::-1]  # the lateral one is listed first
    studies, rejects = fake.read()
    assert rejects == []
    assert Counter(study.split for study in studies) == fake.counts
    first = studies[0]
    assert views(first) == ["frontal", "lateral"]
    assert [Path(image.path).name for image in first.images] == [
        "1_IM-0001-1001.dcm.jpg",
        "1_IM-0001-2001.dcm.jpg",
    ]
    assert Path(first.images[0].path).is_absolute()
    assert first.report == "Heart size normal. Report 1."
    assert first.sections == {"findings": first.report, "impression": "Normal."}


def test_images_under_their_original_extension_are_found(fake):
    for _, name, _ in fake.projections:
        fake.image(name).rename(fake.folder / "images" / name)
    studies, rejects = fake.read()
    assert len(studies) == 12
    assert rejects == []


def test_without_a_pair_the_first_two_images_keep_their_true_views(fake):
    fake.projections = [row for row in fake.projections if row[0] != "1" or row[2] == "Frontal"]
    fake.projections = [row for row in fake.projections if row[0] != "2" or row[2] == "Lateral"]
    studies, _ = fake.read()
    assert views(studies[0]) == ["frontal", "frontal"]
    assert views(studies[1]) == ["lateral"]


def test_missing_image_is_a_reject_and_the_next_one_takes_its_place(fake):
    fake.image("1_IM-0001-1001.dcm.png").unlink()
    studies, rejects = fake.read()
    assert Path(studies[0].images[0].path).name == "1_IM-0001-3001.dcm.jpg"
    assert [(reject.what, reject.why) for reject in rejects] == [
        ("CXR1_IM-0001 (1_IM-0001-1001.dcm.png)", "image is missing")
    ]


def test_lost_studies_are_named_or_rejected(fake):
    fake.annotation["train"][0]["report"] = " \n\t"
    fake.projections = [row for row in fake.projections if row[0] != "12"]
    with pytest.raises(DataError, match=r"7/2/1 studies instead of 8/2/2") as caught:
        fake.read()
    assert "CXR1_IM-0001: empty report; CXR12_IM-0012: no image" in str(caught.value)
    assert "\n" not in str(caught.value)
    studies, rejects = fake.read(complete=False)
    assert len(studies) == 10
    assert {reject.what: reject.why for reject in rejects} == {
        "CXR1_IM-0001": "empty report",
        "CXR12_IM-0012": "no image",
    }


def test_too_few_studies_in_the_annotation(fake):
    fake.annotation["val"].pop()
    with pytest.raises(DataError, match=r"8/1/2 studies instead of 8/2/2"):
        fake.read()


def test_split_that_contradicts_its_key(fake):
    fake.annotation["train"][3]["split"] = "test"
    with pytest.raises(DataError, match="CXR4_IM-0004 is listed under train but says split 'test'"):
        fake.read()


def test_study_in_two_splits(fake):
    fake.annotation["test"].append({**fake.annotation["train"][0], "split": "test"})
    with pytest.raises(DataError, match="CXR1_IM-0001 occurs twice \\(in train and test\\)"):
        fake.read()


def _break(fake, name: str, content: str | None) -> None:
    fake.write()
    path = fake.folder / name
    path.unlink() if content is None else path.write_text(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("annotation.json", None, "no such file"),
        ("annotation.json", "{", "not JSON"),
        ("annotation.json", '{"a": 1}', "expected the keys"),
        ("annotation.json", '{"train": [{"id": "CXR1_a"}]}', "lacks id, report or split"),
        (
            "annotation.json",
            '{"train": [{"id": "x", "report": "", "split": "train"}]}',
            "not of the form CXR",
        ),
        ("reports.csv", None, "no such file"),
        ("reports.csv", "uid,findings\n", "no column indication, comparison, impression"),
        ("projections.csv", "uid,filename,projection\n1,a.png,Oblique\n", "projection 'Oblique'"),
    ],
)
def test_malformed_files_are_one_line(fake, name, content, message):
    _break(fake, name, content)
    with pytest.raises(DataError, match=message) as caught:
        read_iu_xray(*fake.files())
    assert "\n" not in str(caught.value)


@pytest.mark.iu_xray
def test_the_real_data_has_the_published_counts(iu_xray):
    names = ("images", "annotation.json", "indiana_reports.csv", "indiana_projections.csv")
    studies, rejects = read_iu_xray(*(iu_xray / name for name in names))
    assert Counter(study.split for study in studies) == {"train": 2069, "val": 296, "test": 590}
    assert rejects == []
    assert sum(views(study) != ["frontal", "lateral"] for study in studies) == 12
    assert all(len(study.images) == 2 and study.sections for study in studies)
