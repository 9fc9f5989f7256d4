"""The 14 observations, the label report and files of labels."""

import gzip
import re

import pytest

from kia.errors import DataError
from kia.knowledge.chexpert import (
    OBSERVATIONS,
    label_report,
    read_label_file,
    read_labels,
    write_labels,
)

# the columns of the CheXpert labeler (Irvin et al. 2019), sorted
NAMES = """Atelectasis, Cardiomegaly, Consolidation, Edema, Enlarged Cardiomediastinum, Fracture,
Lung Lesion, Lung Opacity, No Finding, Pleural Effusion, Pleural Other, Pneumonia, Pneumothorax,
Support Devices"""


def states(report):
    pattern = re.compile(r"(?:^in this radiology image| *),? ?([a-z ]+?) is (present|absent)")
    return dict(pattern.findall(report))


def test_the_observations_are_chexpert_s_fourteen():
    assert sorted(OBSERVATIONS) == re.split(r",\s+", NAMES)


def test_every_observation_is_named_once_as_in_the_paper():
    report = label_report({"Atelectasis": 1, "Cardiomegaly": 0})
    assert report.startswith("in this radiology image, ") and report.endswith(".")
    assert "atelectasis is present, " in report
    assert "cardiomegaly is absent, " in report
    assert list(states(report)) == [name.lower() for name in OBSERVATIONS]


@pytest.mark.parametrize(
    ("value", "word"), [(1, "present"), (-1, "present"), (0, "absent"), (None, "absent")]
)
@pytest.mark.parametrize("name", OBSERVATIONS)
def test_a_label_is_present_or_absent(name, value, word):
    said = states(label_report({name: value}))
    assert said.pop(name.lower()) == word
    assert set(said.values()) == {"absent"}


@pytest.mark.parametrize(
    ("as_", "word"), [("present", "present"), ("skip", "present"), ("absent", "absent")]
)
def test_uncertain_is_worded_as_asked(as_, word):
    assert f"edema is {word}," in label_report({"Edema": -1}, as_)


# Headers as the tools write them: chexpert-labeler's sample, PhysioNet's MIMIC-CXR-JPG, CheXbert
LABELER = (
    "Reports,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Lesion,Lung Opacity,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
    "Support Devices"
)
MIMIC = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,"
    "Fracture,Lung Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,"
    "Pneumothorax,Support Devices"
)
CHEXBERT = "Report Impression," + ",".join(OBSERVATIONS)


def stated(labels):
    return {name: value for name, value in labels.items() if value is not None}


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_reads_the_output_of_the_chexpert_labeler(tmp_path):
    path = write(
        tmp_path / "a.csv",
        LABELER,
        '"Left effusion,\nlarge.",,,,,,,,,,,1.0,,,',
        "No edema.,1.0,,0.0,,,0.0,,,,,-1.0,,,",
    )
    labels = read_labels(path)
    assert list(labels) == ["1", "2"]
    assert stated(labels["1"]) == {"Pleural Effusion": 1}
    assert stated(labels["2"]) == {
        **{"No Finding": 1, "Cardiomegaly": 0, "Edema": 0, "Pleural Effusion": -1}
    }
    assert list(labels["1"]) == list(OBSERVATIONS)


@pytest.mark.parametrize("packed", [False, True])
def test_reads_the_labels_of_mimic_cxr(tmp_path, packed):
    text = (
        f"{MIMIC}\n10000032,50414267,,,,,,,,,1.0,,,,,\n10000032,53189527,1.0,-1.0,,,,,,,,,,,0.0,\n"
    )
    path = tmp_path / "mimic-cxr-2.0.0-chexpert.csv"
    if packed:
        path = tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    labels = read_labels(path)
    assert list(labels) == ["50414267", "53189527"]
    assert stated(labels["50414267"]) == {"No Finding": 1}
    assert stated(labels["53189527"]) == {"Atelectasis": 1, "Cardiomegaly": -1, "Pneumothorax": 0}


def test_reads_the_output_of_chexbert(tmp_path):
    path = write(tmp_path / "a.csv", CHEXBERT, "x," + ",".join(["1"] * 13 + [""]))
    assert stated(read_labels(path)["1"]) == dict.fromkeys(OBSERVATIONS[:-1], 1)


def test_files_without_ids_say_so_and_bring_their_texts(tmp_path):
    path = write(
        tmp_path / "a.csv", LABELER, '"Left effusion,\nlarge."' + "," * 14, "None." + "," * 14
    )
    found = read_label_file(path)
    assert not found.has_ids
    assert found.texts == {"1": "Left effusion,\nlarge.", "2": "None."}
    assert read_label_file(write(tmp_path / "b.csv", HEADER, ROW[:-1] + "1")).has_ids


def test_names_of_observations_count_in_any_case_and_values_from_any_program(tmp_path):
    path = write(tmp_path / "a.csv", HEADER.lower(), "50414267.0,1,0.0,-1,nan,NA" + "," * 10)
    assert stated(read_labels(path)["50414267"]) == dict(
        zip(OBSERVATIONS, (1, 0, -1), strict=False)
    )


def test_what_is_written_is_read_again(tmp_path):
    labels = {
        "a, b": {**dict.fromkeys(OBSERVATIONS), "Edema": -1, "Fracture": 0},
        "ü": {**dict.fromkeys(OBSERVATIONS), "No Finding": 1},
    }
    write_labels(tmp_path / "new" / "labels.csv", labels)
    assert read_labels(tmp_path / "new" / "labels.csv") == labels
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["labels.csv"]


ROW = "s," + ",".join([""] * 14)
HEADER = "id," + ",".join(OBSERVATIONS)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((HEADER + ",Cough", ROW + ",1"), "unknown column 'cough'"),
        ((HEADER.replace(",Edema", ""), ROW[:-1]), "no column Edema"),
        ((HEADER + ",Edema", ROW + ","), "'edema' is there twice"),
        ((HEADER, ROW + "2"), "line 2: No Finding is '2'; labels are 1, 0, -1 or nothing"),
        ((HEADER, ROW, "t" + ROW[1:] + "yes"), "line 3: No Finding is 'yes'"),
        ((HEADER, ROW, ROW), "line 3: the id is there twice"),
        ((HEADER, ROW[1:] + "1"), "line 2: the id is missing"),
        ((HEADER, ROW + ",1"), "line 2: 16 values for 15 columns"),
        ((HEADER,), "has no row below its header"),
        (("",), "is empty"),
        (("a,b", "1,2"), "is it a file of labels?"),
        ((HEADER, '"open'), "not readable as CSV"),
    ],
)
def test_a_malformed_file_is_one_line(tmp_path, lines, said):
    path = write(tmp_path / "a.csv", *lines)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        read_labels(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"\xff\xfe\x00", "not UTF-16"),
        ("a.csv.gz", b"no gzip", "no column Enlarged"),
        ("a.csv.gz", gzip.compress(f"{HEADER}\n{ROW}\n".encode(), mtime=0)[:-9], "not readable"),
        ("none.csv", None, "no such file"),
    ],
)
def test_what_is_no_csv_is_one_line(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_labels(tmp_path / name)
