"""Files become studies in one way, for `kia.read_studies` and everyone else."""

import warnings
from pathlib import Path

import pytest
from PIL import Image
from tests.pacs import UIDS, bare, radiograph, write_tree

import kia
from kia.errors import DataError, ImageError
from kia.imaging.facts import Facts
from kia.imaging.grouping import group
from kia.imaging.one_study import check_frontal, one_study
from kia.imaging.reading import ImageWarning
from kia.studies import StudyImage


@pytest.fixture
def pacs(dicom, tmp_path) -> Path:
    write_tree(tmp_path / "pacs", dicom)
    return tmp_path / "pacs"


@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_one_call_gives_what_generate_finds(pacs, tmp_path):
    picture, seen = tmp_path / "x.png", []
    Image.new("L", (9, 9)).save(picture)
    pair = (pacs / "PAT1/ST1/SE2/1.2.9.2", pacs / "PAT1/ST1/SE3/1.2.9.3")
    told = lambda done, total: seen.append((done, total))  # noqa: E731
    studies = kia.read_studies([pacs, str(tmp_path / "*.png"), pair], on_progress=told)
    told_id = ", ".join(map(str, pair))
    assert [s.id for s in studies] == [UIDS["A"], UIDS["B"], str(picture), told_id]
    assert studies[0].images == (
        StudyImage(str(pair[1]), "frontal", "view position"),
        StudyImage(str(pair[0]), "lateral", "view position"),
    )
    assert studies[-1].images == (
        StudyImage(str(pair[0]), "frontal", "given"),
        StudyImage(str(pair[1]), "lateral", "given"),
    )
    assert studies[0].patient and studies[0].patient != studies[1].patient
    assert [name for name, _ in studies[0].left_out] == [str(pacs / "PAT1/ST1/SE1/1.2.9.1")]
    assert seen == [(n, len(seen)) for n in range(1, len(seen) + 1)]


def test_one_name_needs_no_list(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    for name in (tmp_path / "x.png", str(tmp_path), str(tmp_path / "*.png")):
        (study,) = kia.read_studies(name)
        assert study.images == (StudyImage(str(tmp_path / "x.png"), "frontal", "order"),)


@pytest.mark.parametrize("name", ["I0001", "1.2.840.113619.2.5", "x.ima", "x.IMA", "x.dic", "x.1"])
@pytest.mark.parametrize("change", [bytes, bare])
def test_dicom_is_known_by_its_bytes_whatever_its_name(name, change, dicom, tmp_path):
    """Without preamble PS3.10 7.1 does not apply; dcmtk and GDCM read such files, too."""
    study = {"StudyInstanceUID": UIDS["A"], "BodyPartExamined": "CHEST"}
    files = {name: "LL", "0": "PA"}
    for number, (file, view) in enumerate(files.items()):
        whole = radiograph(dicom, number, ViewPosition=view, **study)
        (tmp_path / file).write_bytes(change(whole))
    (study,) = kia.read_studies(tmp_path)
    assert [(Path(image.path).name, image.view) for image in study.images] == [
        *(("0", "frontal"), (name, "lateral")),
    ]


def test_what_is_not_read_is_warned_of(pacs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kia.read_studies(pacs)
    assert {warning.category for warning in caught} == {ImageWarning}
    left_out, passed_over = (str(warning.message) for warning in caught)
    assert left_out.startswith("left out: ") and "IM000003.IMA" in left_out
    assert passed_over.startswith("passed over: ") and "README" in passed_over


def test_nothing_left_is_an_error(dicom, tmp_path):
    (tmp_path / "a").write_bytes(radiograph(dicom, 1, BodyPartExamined="HAND"))
    (tmp_path / "b").write_bytes(radiograph(dicom, 2, Modality="CT"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"no chest X-ray: .*HAND.*; .*Modality"):
        kia.read_studies(tmp_path)
    with pytest.raises(DataError, match="no image in this folder"):
        kia.read_studies(tmp_path / "empty")


@pytest.mark.parametrize("several", [True, False])
def test_many_files_of_a_kind_are_one_line(several, dicom, tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    for number in range(30 if several else 1):
        (tmp_path / f"{number:02}").write_bytes(radiograph(dicom, number, Modality="CT"))
    with pytest.warns(ImageWarning) as caught:
        kia.read_studies(tmp_path)
    (line,) = (str(warning.message) for warning in caught)
    assert ("30 files" in line and "and 10 more" in line) is several


def file(name: str, view=None, study="1", **more) -> tuple[str, Facts]:
    return name, Facts("dicom", view, view and "view position", study, **more)


def test_folders_do_not_matter_and_patients_do():
    files = [
        file("x/a", "lateral", patient="p"),
        file("y/b", "frontal", patient="q"),
        file("z/c", "frontal", patient="p"),
        file("z/d", study="2"),
        file("z/e", study=None),
        file("z/f", study=None),
    ]
    studies, left_out = group(files)
    assert [[image.path for image in study.images] for study in studies] == [
        *(["z/c", "x/a"], ["y/b"], ["z/d"], ["z/e"], ["z/f"]),
    ]
    assert [study.id for study in studies] == ["1", "y/b", "2", "z/e", "z/f"]
    assert [study.patient for study in studies] == ["p", "q", None, None, None]
    assert left_out == []


def test_a_file_that_names_no_patient_is_of_the_study_s_first():
    studies, _ = group([file("a", "frontal"), file("b", "lateral", patient="p")])
    assert [len(study.images) for study in studies] == [2] and studies[0].patient == "p"


def test_a_picture_that_is_named_twice_is_two_studies():
    studies, _ = group([("x.png", Facts("picture")), ("x.png", Facts("picture"))])
    assert [study.id for study in studies] == ["x.png", "x.png"]


def test_images_made_for_processing_are_read_where_there_is_no_other():
    raw, shown = file("a", "frontal", raw=True), file("b", "frontal")
    (study,), _ = group([raw, file("c", "lateral"), shown])
    assert [image.path for image in study.images] == ["b", "c"]
    (study,), _ = group([raw, file("c", "lateral")])
    assert [image.path for image in study.images] == ["a", "c"]


def test_a_guessed_other_part_is_left_out_only_beside_a_chest():
    guessed = {"body_part": "HAND", "body_part_source": "description"}
    hand, chest = file("a", "frontal", **guessed), file("b", "frontal", body_part="CHEST")
    (study,), _ = group([hand, chest])
    assert [image.path for image in study.images] == ["b"]
    assert study.left_out[0][0] == "a" and "perhaps" in study.left_out[0][1]
    (study,), _ = group([hand])
    assert [image.path for image in study.images] == ["a"]


def test_copies_are_left_out_and_a_name_that_is_repeated_is_one():
    one = file("a", "frontal", instance="9")
    (study,), _ = group([one, file("b", "frontal", instance="9"), one])
    assert [image.path for image in study.images] == ["a"]
    assert study.left_out == (("b", "a copy of another, a"),)


def test_images_that_are_told_to_be_one_study_keep_their_order():
    study = one_study([file("a", "lateral"), file("b", "frontal")])
    assert [image.view for image in study.images] == ["lateral", "frontal"]
    hand = file("c", "frontal", why_not="of a hand")
    study = one_study([hand, file("a", "lateral")], ["frontal", "lateral"])
    assert study.places == (1,) and study.views == ["lateral"]
    assert study.left_out == (("c", "of a hand"),)
    with pytest.raises(ImageError, match="c: of a hand"):
        one_study([hand])
    assert len(one_study([file("a", patient="p"), file("b")]).images) == 2
    with pytest.raises(DataError, match="two patients"):
        one_study([file("a", patient="p"), file("b", patient="q")])


def test_a_frontal_view_can_be_asked_for(dicom, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(radiograph(dicom, 1, ViewPosition="PA"))
    check_frontal(path)
    path.write_bytes(radiograph(dicom, 1, ViewPosition="LL"))
    with pytest.raises(ImageError, match="lateral"):
        check_frontal(path)
