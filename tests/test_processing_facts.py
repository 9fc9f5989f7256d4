"""KIAProcessor reads headers as `kia generate` does; what is told goes first."""

import io
import warnings

import numpy as np
import pytest
from tests.pacs import UIDS, radiograph

from kia.errors import DataError, ImageError
from kia.imaging.reading import ImageWarning
from kia.processing import KIAProcessor, train_tokenizer


@pytest.fixture(scope="module")
def processor() -> KIAProcessor:
    return KIAProcessor(train_tokenizer(["The heart is large."], 300), image_size=24)


@pytest.fixture
def made(dicom):
    """`made(seed, **elements)`: the bytes of a chest radiograph of one patient's study."""
    study = {"StudyInstanceUID": UIDS["A"], "PatientID": "4711", "BodyPartExamined": "CHEST"}
    return lambda seed, **elements: radiograph(dicom, seed, **(study | elements))


def test_the_header_goes_before_the_order(processor, made, tmp_path):
    lateral, frontal = made(1, ViewPosition="LL"), made(2, ViewPosition="PA")
    path = tmp_path / "1.2.3"
    path.write_bytes(frontal)
    for files in ([lateral, frontal], [lateral, path], [io.BytesIO(lateral), str(path)]):
        inputs = processor(files)
        assert inputs["view_ids"].tolist() == [[1, 0]]
        assert inputs["pixel_values"].shape[:2] == (1, 2)
    assert processor([np.zeros((9, 9), np.uint8), lateral])["view_ids"].tolist() == [[0, 1]]
    inputs, flags = processor.checked([lateral, frontal])
    assert inputs["view_ids"].tolist() == [[1, 0]] and {f["kind"] for f in flags} <= {"size"}


def test_named_views_go_first_and_a_conflict_is_odd(processor, made):
    lateral = made(1, ViewPosition="LL")
    with pytest.warns(ImageWarning, match="image 1: its DICOM header says lateral"):
        assert processor([lateral], ["frontal"])["view_ids"].tolist() == [[0]]
    flags = processor.checked([lateral], ["frontal"])[1]
    assert (0, "view") in [(flag["view"], flag["kind"]) for flag in flags]


def test_another_part_is_left_out_and_two_patients_refused(processor, made):
    chest = made(1, ViewPosition="LL")
    hand = made(2, BodyPartExamined="HAND", ViewPosition="PA")
    with pytest.warns(ImageWarning, match="image 1 is left out: .*HAND"):
        inputs = processor([hand, chest])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected, flags = processor.checked([hand, chest])
    assert inputs["view_ids"].tolist() == expected["view_ids"].tolist() == [[1]]
    assert "left out" in {flag["kind"] for flag in flags}
    assert processor([hand, chest], ["frontal", "lateral"])["view_ids"].tolist() == [[1]]
    with pytest.raises(ImageError, match="HAND"):
        processor([hand])
    with pytest.raises(DataError, match="two patients"):
        processor([chest, made(3, PatientID="4712")])


def test_each_study_of_a_batch_is_read_by_its_own_headers(processor, made):
    one = [made(1, ViewPosition="LL"), made(2, ViewPosition="PA")]
    other = [
        made(3, PatientID="4712", ViewPosition="PA"),
        made(4, PatientID="4712", BodyPartExamined="HAND"),
    ]
    with pytest.warns(ImageWarning, match="image 2 is left out"):
        inputs = processor([one, other])
    assert inputs["view_ids"].tolist() == [[1, 0], [0, 0]]
    assert inputs["view_mask"].tolist() == [[True, True], [True, False]]
