"""What a DICOM header says of its picture; expected values are the standard's and real files'."""

import dataclasses
import io
import struct
import time
import warnings

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.sr.codedict import codes
from tests.pacs import CODES, bare, coded, radiograph

from kia.imaging.facts import UNKNOWN, Facts, doubts_among, placed
from kia.imaging.reading import read_facts, read_image
from kia.studies import StudyImage

FRONTAL = {"Frontal", "AnteroPosterior", "PosteroAnterior"}
LATERAL = {"LateralProjection", "LeftLateral", "RightLateral", "Sagittal"}


@pytest.fixture
def facts(dicom):
    """`facts(**elements)`: those of a radiograph whose header says so."""
    return lambda **elements: read_facts(radiograph(dicom, 1, **elements))


@pytest.mark.parametrize("name", sorted({*FRONTAL, *LATERAL}))
def test_codes_of_views_are_those_of_the_standard(name, facts):
    """PS3.16 CID 4010 DX View, as pydicom has it from the standard."""
    code = getattr(codes.cid4010, name)
    found = facts(ViewCodeSequence=coded(code.value, code.scheme_designator))
    assert found.view == ("frontal" if name in FRONTAL else "lateral")
    assert found.view_source == "view code"


@pytest.mark.parametrize(
    "name", ["LeftAnteriorOblique", "RightPosteriorOblique", "AxialProjection"]
)
def test_codes_of_oblique_and_axial_views_name_neither(name, facts):
    code = getattr(codes.cid4010, name)
    item = coded(code.value, code.scheme_designator, code.meaning)
    assert facts(ViewCodeSequence=item).view is None


@pytest.mark.parametrize(
    ("view", "code"), [(view, code) for view, several in CODES.items() for code in several]
)
def test_codes_of_older_standards_name_the_same_views(view, code, facts):
    assert facts(ViewCodeSequence=coded(*code)).view == view


def test_a_code_of_another_scheme_is_not_taken_for_one_of_snomed(facts):
    assert facts(ViewCodeSequence=coded("R-10236", "99LOCAL")).view is None


def test_view_position_goes_before_the_code_and_a_conflict_is_odd(facts):
    """As MIMIC-CXR's reader: ViewPosition, and the code where that is empty."""
    lateral = coded(*CODES["lateral"][0])
    found = facts(ViewPosition="PA", ViewCodeSequence=lateral)
    assert (found.view, found.view_source) == ("frontal", "view position")
    assert [doubt.kind for doubt in found.doubts] == ["view"]
    assert facts(ViewPosition="LL", ViewCodeSequence=lateral).doubts == ()


@pytest.mark.parametrize(
    ("text", "view"),
    [
        *(("W Chest PA", "frontal"), ("CHEST AP PORTABLE", "frontal"), ("Thorax p.a.", "frontal")),
        *(("Thorax A-P", "frontal"), ("thorax face", "frontal")),
        *(
            ("W Chest Lat.", "lateral"),
            ("Thorax seitlich", "lateral"),
            ("thorax profil", "lateral"),
        ),
        *(("CHEST PA AND LATERAL", None), ("Chest 2 views", None), ("PAEDIATRIC CHEST", None)),
        *(("Chest lat decubitus", None), ("Latin", None), ("", None)),
    ],
)
def test_descriptions_name_a_view_or_none(text, view, facts):
    assert facts(SeriesDescription=text).view == view
    assert facts(StudyDescription=text).view == view


def test_the_series_is_asked_before_the_study(facts):
    found = facts(SeriesDescription="LAT", StudyDescription="Chest PA")
    assert (found.view, found.view_source) == ("lateral", "description")


@pytest.mark.parametrize(
    ("text", "part"),
    [  # PS3.16 Annex L, and what consoles write
        *((name, "CHEST") for name in ("CHEST", "Thorax", "PORT CHEST", "CHESTABDOMEN", "LUNG")),
        *(("HAND", "HAND"), ("L HAND", "HAND"), ("HAND_LEFT", "HAND"), ("CSPINE", "SPINE")),
        *(("T SPINE", "SPINE"), ("SKULL", "SKULL"), ("ABDOMEN", "ABDOMEN"), ("KNEES", "KNEE")),
        *(("RIB", "OTHER"), ("STERNUM", "OTHER"), ("UNKNOWN", "OTHER"), ("", None), (" ", None)),
    ],
)
def test_parts_of_the_body_have_the_standard_s_terms(text, part, facts):
    found = facts(BodyPartExamined=text)
    assert found.body_part == part
    assert bool(found.why_not) == (part not in ("CHEST", "OTHER", None))
    assert found.body_part_source == (part and "body part examined")


def test_the_region_is_asked_where_there_is_no_body_part(facts):
    chest, hand = codes.cid4009.Chest, codes.cid4009.Hand
    found = facts(AnatomicRegionSequence=coded(chest.value, chest.scheme_designator))
    assert (found.body_part, found.body_part_source) == ("CHEST", "anatomic region")
    found = facts(AnatomicRegionSequence=coded(hand.value, "SCT", hand.meaning))
    assert found.body_part == "HAND" and found.why_not


def test_a_description_makes_a_part_a_guess_only(facts):
    found = facts(SeriesDescription="Left hand")
    assert (found.body_part, found.why_not) == ("HAND", "")
    assert [doubt.kind for doubt in found.doubts] == ["body part"]
    stale = facts(BodyPartExamined="SKULL", SeriesDescription="W Chest PA")
    assert (stale.body_part, stale.why_not) == ("OTHER", "")  # of the patient before, perhaps
    assert facts(SeriesDescription="C-arm chest").body_part == "CHEST"


@pytest.mark.parametrize(
    ("modality", "can_be"),
    [
        *((name, True) for name in ("CR", "DX", "DR", "RG", "OT", "RF", "")),
        *((name, False) for name in ("CT", "MR", "US", "SR", "PR", "KO", "SEG", "DOC")),
    ],
)
def test_some_modalities_are_no_radiographs(modality, can_be, facts):
    assert (facts(Modality=modality).why_not == "") is can_be


def test_a_file_without_an_image_is_none(dicom):
    dataset = pydicom.dcmread(io.BytesIO(radiograph(dicom, 1)))
    del dataset.PixelData, dataset.Rows
    file = io.BytesIO()
    dataset.save_as(file)
    assert read_facts(file.getvalue()).why_not == "a DICOM file without an image"
    index = get_testdata_file("DICOMDIR", download=False)
    assert read_facts(index).why_not == "a DICOM file without an image"


def test_real_radiographs_say_what_their_headers_do():
    chest = read_facts(get_testdata_file("RG1_UNCR.dcm", download=False))
    assert (chest.view, chest.view_source, chest.body_part) == ("frontal", "view position", "CHEST")
    assert chest.study == "1.3.6.1.4.1.5962.1.2.9.20040826185059.5457"
    assert chest.orientation == "L\\F" and chest.why_not == ""
    leg = read_facts(get_testdata_file("RG3_J2KI.dcm", download=False))
    assert leg.body_part == "EXTREMITY" and leg.why_not
    slice_ = read_facts(get_testdata_file("CT_small.dcm", download=False))
    assert "Modality" in slice_.why_not


@pytest.mark.parametrize(
    ("orientation", "said"),
    [(["L", "F"], ""), (["R", "F"], "mirrored"), (["L", "H"], "upside down"), (["A", "F"], "")],
)
def test_orientation_is_compared_with_a_frontal_view(orientation, said, facts):
    """PS3.3 C.7.6.1.1.1: rows towards the patient's left, columns towards the feet."""
    found = facts(PatientOrientation=orientation)
    (doubts,) = doubts_among([StudyImage("a", "frontal")], [found])
    assert [said in doubt.why for doubt in doubts] == [True] * bool(said)
    assert list(doubts_among([StudyImage("a", "lateral")], [found])) in ([()], [doubts])


def test_laterality_is_a_code(facts):
    assert facts(ImageLaterality="U").laterality == "U"
    assert facts(Laterality="L").laterality == "L"
    assert facts(Laterality="JANE").laterality is None


SECRET = "DOE JANE"
TEXTS = (
    *("StudyDescription", "SeriesDescription", "BodyPartExamined", "ViewPosition", "PatientID"),
    *("Laterality", "ImageLaterality", "PresentationIntentType", "Modality", "PatientOrientation"),
)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_text_of_the_header_is_a_fact(dicom, caplog, capfd):
    texts = dict.fromkeys(TEXTS, SECRET)
    code = {"ViewCodeSequence": coded(SECRET, "SCT", SECRET)}
    uids = [{name: SECRET} for name in ("StudyInstanceUID", "SOPInstanceUID")]
    files = [radiograph(dicom, 1, **elements) for elements in (texts | code, *uids)]
    caplog.clear()  # of what was said while they were written
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [read_facts(data) for data in files]
    assert found[0].patient and found[1].study and found[2].instance
    assert found[1].study == read_facts(files[1]).study  # it still groups
    said = repr([dataclasses.asdict(one) for one in found]) + repr([str(w) for w in caught])
    assert "DOE" not in said + caplog.text + "".join(capfd.readouterr())


def test_other_files_have_no_facts(tmp_path):
    assert read_facts(tmp_path / "missing") == read_facts(tmp_path) == UNKNOWN
    (tmp_path / "notes.txt").write_text("no image")
    assert read_facts(tmp_path / "notes.txt") == Facts(None)
    (tmp_path / "notes.dcm").write_text("no image")
    assert read_facts(tmp_path / "notes.dcm") == Facts("dicom")
    assert read_facts(b"\x89PNG\r\n\x1a\n...") == Facts("picture")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_header_costs_no_more_than_its_facts(data):
    whole = _WHOLE
    cut = data.draw(st.integers(0, len(whole)))
    damaged = bytearray(whole[:cut])
    for _ in range(data.draw(st.integers(0, 20))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(read_facts(bytes(damaged)), Facts)


def _whole() -> bytes:
    from tests.conftest import make_dicom

    elements = {"ViewPosition": "PA", "PatientID": "1", "StudyInstanceUID": "1.2.3"}
    return radiograph(make_dicom, 1, **elements, ViewCodeSequence=coded("R-10236", "SRT"))[:1500]


_WHOLE = _whole()


def test_a_header_without_an_end_is_given_up():
    """32 MiB of elements without a value: 40 s of pydicom's time, if it read them all."""
    start = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, 0)
    element = struct.pack("<HH2sH", 9, 0x1010, b"LO", 0)
    since = time.monotonic()
    assert read_facts(start + element * (4 << 20)) == Facts("dicom")
    assert time.monotonic() - since < 5


def test_a_large_private_element_is_skipped(dicom):
    dataset = pydicom.dcmread(io.BytesIO(radiograph(dicom, 1, ViewPosition="LL")))
    dataset.add_new(0x00090010, "LO", "SOMEBODY")
    dataset.add_new(0x00091001, "OB", bytes(3 << 20))
    file = io.BytesIO()
    dataset.save_as(file)
    assert read_facts(file.getvalue()).view == "lateral"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_other_encodings_of_the_header_say_the_same(syntax, dicom):
    """Deflated, and big endian."""
    dataset = pydicom.dcmread(io.BytesIO(radiograph(dicom, 1, ViewPosition="LL", PatientID="7")))
    plain = read_facts(radiograph(dicom, 1, ViewPosition="LL", PatientID="7"))
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.PixelData = np.frombuffer(dataset.PixelData, np.uint8).tobytes()
    file = io.BytesIO()
    little = syntax.endswith("99")
    dataset = pydicom.Dataset(dataset) if not little else dataset
    meta = pydicom.dcmread(io.BytesIO(radiograph(dicom, 1))).file_meta
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta = meta
    dataset.save_as(file, enforce_file_format=True, implicit_vr=False, little_endian=little)
    assert read_facts(file.getvalue()) == plain


def test_a_file_without_preamble_says_the_same_and_is_decoded(dicom):
    whole = radiograph(dicom, 1, ViewPosition="LL", StudyInstanceUID="1.2.3")
    assert read_facts(bare(whole)) == read_facts(whole)
    np.testing.assert_array_equal(read_image(bare(whole)), read_image(whole))


def frontal(**more) -> Facts:
    return Facts("dicom", "frontal", "view position", **more)


def test_order_decides_where_nothing_else_does():
    lateral, silent = Facts("dicom", "lateral", "view code"), Facts("dicom")
    assert placed([silent, silent]) == [("frontal", "order"), ("lateral", "order")]
    assert placed([silent, frontal()]) == [("lateral", "order"), ("frontal", "view position")]
    assert placed([lateral, silent]) == [("lateral", "view code"), ("frontal", "order")]
    assert placed([lateral, frontal()], ["frontal", "lateral"]) == [
        ("frontal", "given"),
        ("lateral", "given"),
    ]


def test_what_a_study_is_told_to_be_is_compared_with_its_headers():
    one = frontal(study="1", patient="a")
    for other, kinds in (
        (Facts("dicom", "lateral", "view code", "1", patient="a"), []),
        (Facts("dicom", "lateral", "view code", "2", patient="a"), ["study"]),
        (Facts("dicom", "lateral", "view code", "2", patient="b"), ["patient"]),
        (Facts("dicom", "frontal", "view code", "1", patient="a"), ["view"]),
        (UNKNOWN, []),
    ):
        images = [StudyImage("a", "frontal"), StudyImage("b", "lateral")]
        first, second = doubts_among(images, [one, other])
        assert first == () and [doubt.kind for doubt in second] == kinds
