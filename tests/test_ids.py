"""Ids of different tools that mean the same study, and those that only look alike.

Forms: MIMIC-CXR-JPG's tables and folders (physionet.org/content/mimic-cxr-jpg), RadGraph's keys
(`MIMIC-CXR_graphs.json`), R2Gen's annotation.json, Kaggle's indiana_reports.csv, ReXrank's
prediction.json (github.com/rajpurkarlab/ReXrank, example_files).
"""

import pytest

from kia.ids import hint_for, joined, match_ids

DICOM = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
OTHER = "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962"


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("s50000001", "50000001"),
        ("50000001", "s50000001"),
        ("d50000001", "50000001"),
        ("s50000001", "50000001.0"),
        ("s50414267", "p10/p10000032/s50414267.txt"),
        ("50414267", "files/p10/p10000032/s50414267.txt"),
        ("50414267", f"files/p10/p10000032/s50414267/{OTHER}.jpg"),
        ("50051329", "/p10/p10046166/s50051329"),
        (DICOM, f"p10/p10000032/s50414267/{DICOM}.jpg"),
        (DICOM, f"{DICOM}.dcm"),
        (DICOM.upper(), DICOM),
        ("CXR2384_IM-0942", "2384"),
        ("CXR2384_IM-0942", "CXR2384"),
        ("CXR1_1_IM-0001", "1"),
        ("CXR2384_IM-0942", "CXR2384_IM-0942/0.png".rpartition("/")[0]),
        ("study_007", "7"),
        (" 12 ", "12"),
    ],
)
def test_ids_of_one_study_match(here, there):
    assert match_ids([here], [there, "else"]).pairs == {here: there}
    assert match_ids([there], ["else", here]).pairs == {there: here}


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("s50000001", "50000002"),
        ("s5", "CXR5"),
        (DICOM, OTHER),
        ("1.2.840.113619.2.1", "1.2.840.113619.2.10"),
        ("s5000", "50000"),
        ("a/0.png", "b/1.png"),
        ("1.5", "15"),
    ],
)
def test_ids_of_two_studies_do_not(here, there):
    assert match_ids([here], [there]).pairs == {}


def test_the_same_text_comes_first():
    assert match_ids(["5", "s5"], ["s5", "5"]).pairs == {"5": "5", "s5": "s5"}


def test_what_would_fit_twice_fits_nowhere():
    assert match_ids(["s5"], ["5", "005"]).pairs == {}
    assert match_ids(["c/0.png"], ["a/0.png", "b/0.png"]).pairs == {}


def test_several_that_fit_count_if_they_say_the_same():
    assert joined(["s5"], {"5": "train", "005": "train"}) == {"s5": "train"}
    assert joined(["s5"], {"5": "train", "005": "test"}) == {}
    images = {"CXR7_IM-2-1001": "val", "CXR7_IM-2-2001": "val"}
    assert joined(["CXR7_IM-2"], images) == {"CXR7_IM-2": "val"}


def test_images_share_what_is_said_of_their_study():
    studies = {DICOM: "50414267", OTHER: "50414267"}
    assert joined([DICOM, OTHER], {"s50414267": 1}, studies) == {DICOM: 1, OTHER: 1}
    assert joined(["s50414267"], {DICOM: 1}, studies) == {"s50414267": 1}
    assert joined(["s50414267"], {DICOM: 1, OTHER: 2}, studies) == {}  # which of the two?
    assert match_ids([DICOM, OTHER], ["50414267"], studies, one_to_one=True).pairs == {}


def test_a_line_says_how_many_matched_and_what_would_help():
    line = match_ids(["s1", "s2"], ["1", "7"]).line("studies", "labels.csv")
    assert line == ("1 of 2 studies are in labels.csv: none for 's2', while it has '7'")
    assert match_ids(["s1"], ["1"]).line("studies", "l.csv") == "1 of 1 studies are in l.csv"
    line = match_ids([DICOM], ["50414267"]).line("studies", "labels.csv")
    assert line.endswith(
        "(--metadata mimic-cxr-2.0.0-metadata.csv.gz tells the study of each dicom_id)"
    )
    assert "--label-reports" in match_ids(["a", "b"], ["0", "1"]).line("studies", "graphs.json")
    assert hint_for(["a"], ["b"]) == ""


def test_ids_that_are_long_texts_are_cut_in_the_line():
    line = match_ids(["s1"], ["The heart is large. " * 20]).line("studies", "f.csv")
    assert len(line) < 160
