"""Sections of MIMIC-CXR: reports as they are written there, with made-up content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kia.data.readers.mimic_cxr.authors import read_sections_as_authors
from kia.data.readers.mimic_cxr.reports import heading_section, read_sections

PLAIN = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with cough  // eval for pneumonia

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS:

 The lungs are clear.  Heart size is
 normal.

 There is no effusion.

 IMPRESSION:

 No acute cardiopulmonary process.
"""

WET_READ = """ WET READ: ___ ___ ___ 8:42 PM
  No pneumothorax.
 ______________________________________________________________________________
                                 FINAL REPORT
 CHEST RADIOGRAPH

 INDICATION:  ___ year old man.

 FINDINGS:  The tube ends 3 cm above the carina.
"""

ADDENDUM = """                                 FINAL ADDENDUM
  ADDENDUM:  The side was wrong; the effusion is left.
 ______________________________________________________________________________
                                 FINAL REPORT
 FINDINGS:  Right effusion.

 IMPRESSION:  Effusion.
"""

NO_HEADINGS = """                                 FINAL REPORT
 PORTABLE CHEST, ___ AT 10:30

 Lines and tubes are unchanged.  The heart is large.

 No edema.
"""


def as_stored(text: str) -> str:
    """Blank lines hold a space in MIMIC-CXR."""
    return text.replace("\n\n", "\n \n")


def test_a_plain_report():
    assert read_sections(as_stored(PLAIN)) == {
        "examination": "CHEST (PA AND LAT)",
        "indication": "___F with cough // eval for pneumonia",
        "technique": "Chest PA and lateral",
        "comparison": "___",
        "findings": "The lungs are clear. Heart size is normal. There is no effusion.",
        "impression": "No acute cardiopulmonary process.",
    }


def test_a_wet_read_is_not_the_report():
    found = read_sections(as_stored(WET_READ))
    assert found["wet_read"] == "No pneumothorax."
    assert found["findings"] == "The tube ends 3 cm above the carina."
    assert "impression" not in found


def test_an_addendum_stands_apart():
    found = read_sections(as_stored(ADDENDUM))
    assert found["addendum"] == "The side was wrong; the effusion is left."
    assert (found["findings"], found["impression"]) == ("Right effusion.", "Effusion.")


def test_without_headings_the_last_paragraphs_are_the_report():
    found = read_sections(as_stored(NO_HEADINGS))
    assert found == {
        "last_paragraph": "Lines and tubes are unchanged. The heart is large. No edema."
    }


@pytest.mark.parametrize(
    "heading", ["EXAMINATION", "TECHNIQUE", "INDICATION", "RECOMMENDATIONS", "HISTORY"]
)
def test_a_report_under_the_wrong_heading_is_found(heading):
    """Studies such as s59363654, which the authors' code lists with the section that holds all."""
    text = f" FINAL REPORT\n {heading}:  AP chest.  The lungs are clear. No effusion.\n"
    assert read_sections(text)["last_paragraph"] == "AP chest. The lungs are clear. No effusion."
    text = f" FINAL REPORT\n {heading}:  Cough.\n \n The lungs are clear.\n"
    assert read_sections(text)["last_paragraph"] == "The lungs are clear."


@pytest.mark.parametrize(
    "text", ["", "\n", " FINAL REPORT\n", " FINAL REPORT\n INDICATION:  Cough.\n", "____\n"]
)
def test_a_report_that_says_nothing_has_no_conclusion(text):
    """Studies such as s58235663, for which the authors' code lists an empty span."""
    assert read_sections(text).keys() <= {"indication"}


def test_the_last_section_that_is_not_empty_counts():
    text = " FINDINGS:  Old.\n IMPRESSION:  A.\n FINDINGS:  New.\n FINDINGS:\n IMPRESSION:\n"
    assert read_sections(text) == {"impression": "A.", "findings": "New."}


def test_subheadings_and_times_do_not_end_a_section():
    text = (
        " FINDINGS:\n LUNGS: Clear.\n CHEST: Normal.\n Seen\n at 8:30.\n"
        " note: this is prose.\n RECOMMENDATION(S):  CT.\n"
    )
    assert read_sections(text) == {
        "findings": "LUNGS: Clear. CHEST: Normal. Seen at 8:30. note: this is prose.",
        "recommendations": "CT.",
    }


def test_findings_and_impression_in_one():
    text = " FINAL REPORT\n FINDINGS/IMPRESSION:  Clear.\n"
    assert read_sections(text) == {"impression": "Clear."}


@pytest.mark.parametrize(
    ("section", "headings"),
    [  # the names and typing errors that the authors' code lists, with its sections
        ("impression", "IMPRESSION, CONCLUSION, FINDINGS AND IMPRESSION, FINDINGS/ IMPRESSION"),
        ("impression", "IMPRESSON, IMPRRESSION, IMORESSION, IMPRESSOIN, IMPRSSION, IMPRESION"),
        ("impression", "IMPERSSION, MPRESSION, IMPESSION"),
        ("findings", "FINDINGS, FINDING, FINDINS, FINDINDGS, FINDGINGS, FINDNGS, FINDNINGS"),
        ("findings", "FINIDNGS, REFERENCE FINDINGS, CHEST, PORTABLE CHEST, PA AND LATERAL CHEST"),
        ("findings", "BONE WINDOWS, AP VIEW OF THE CHEST, RIBS"),
        ("comparison", "COMPARISON, COMPARISONS, COMPARISION, COMPARSION, COMPARRISON"),
        ("comparison", "COMPARISIONS, COMPARISON FILM, COMPARISON EXAM, REFERENCE EXAM"),
        ("indication", "INDICATION, IDICATION, CLINICAL INDICATION, REASON FOR EXAM"),
        ("indication", "REASON FOR EXAMINATION"),
        ("history", "HISTORY, CLINICAL HISTORY, PATIENT HISTORY, CLINICAL INFORMATION"),
        ("examination", "EXAMINATION, EXAM, TYPE OF EXAMINATION"),
        ("recommendations", "RECOMMENDATION, RECOMMENDATIONS, RECOMMENDATION(S)"),
        ("wet_read", "WET READ, WETREAD, PFI"),
        ("addendum", "ADDENDUM"),
        ("findings", "Findings"),
        ("impression", "Impression"),
        (None, "LINES AND TUBES, HEART, Note, Chest, IVC"),
        # other words, however alike
        (None, "CHEST TUBE, COMPRESSION, DEPRESSION, CHEST WALL, RIB FRACTURES, PORTABLE DEVICE"),
        ("comparison", "PRIOR FINDINGS, PREVIOUS FINDINGS"),
    ],
)
def test_headings(section, headings):
    assert [heading_section(h) for h in headings.split(", ")] == [section] * len(
        headings.split(", ")
    )


@given(st.text(alphabet=st.sampled_from("FINDGSMPRE:_ \n.ab/()"), max_size=200))
def test_any_text_is_split_without_loss_of_order_or_lines(text):
    for section, content in read_sections(text).items():
        assert section and content == " ".join(content.split())


BOTH = " FINDINGS:  The lungs are clear.\n \n IMPRESSION:  Normal chest.\n \n"


@pytest.mark.parametrize("heading", ["OTHER", "INCIDENTAL", "ADDITIONAL"])
def test_additional_findings_are_appended(heading):
    found = read_sections(f"{BOTH} {heading} FINDINGS:  Old rib fractures.\n")
    assert found["findings"] == "The lungs are clear. Old rib fractures."
    assert found["impression"] == "Normal chest."


@pytest.mark.parametrize(
    "note",
    [
        "Discussed with Dr. ___ at 10:30 a.m.",
        "Discussed with Dr. ___ by telephone at 10:30 a.m. on ___.",
        "Findings were communicated to ___ by telephone on ___ at 3 pm.",
        "Dr. ___ was paged. These findings were relayed to the team.",
        "The findings were discussed with Dr. ___, M.D. on the telephone on ___ at 4 PM.",
    ],
)
@pytest.mark.parametrize("heading", ["CRITICAL FINDINGS", "OTHER FINDINGS", "FINDINGS"])
def test_whom_somebody_called_is_never_the_report(heading, note):
    found = read_sections(f"{BOTH} {heading}:  {note}\n")
    assert (found["findings"], found["impression"]) == ("The lungs are clear.", "Normal chest.")
    assert found["notification"] == note


def test_the_last_paragraph_is_none_either():
    text = " FINAL REPORT\n INDICATION:  Cough.\n \n No effusion.\n \n Discussed with Dr. ___.\n"
    assert read_sections(text)["last_paragraph"] == "No effusion."


@pytest.mark.parametrize("heading", ["CHEST TUBE", "RIBS", "PORTABLE", "COMPRESSION", "CHEST"])
@pytest.mark.parametrize("section", ["FINDINGS", "IMPRESSION"])
def test_a_sub_heading_stays_in_the_text_of_its_section(section, heading):
    text = f" FINAL REPORT\n {section}:  Small effusion.\n {heading}:  Unchanged.\n"
    assert read_sections(text) == {section.lower(): f"Small effusion. {heading}: Unchanged."}


def test_pictures_described_in_another_section_replace_no_findings():
    text = " FINDINGS:  Clear.\n TECHNIQUE:  Two views.\n RIBS:  No fracture.\n"
    assert read_sections(text)["findings"] == "Clear. No fracture."
    text = " CHEST, TWO VIEWS:  Of ___.\n INDICATION:  Cough.\n FINDINGS:  Clear.\n"
    assert read_sections(text)["findings"] == "Clear."


def test_the_authors_take_the_last_section_whatever_it_says():
    """What `section_parser.py` gives, by its regular expression and list of names."""
    text = as_stored(f"\n{BOTH} CRITICAL FINDINGS:  Discussed with Dr. ___.\n")
    assert read_sections_as_authors(text)["findings"] == "Discussed with Dr. ___."
    assert read_sections(text)["findings"] == "The lungs are clear."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, {"findings", "impression", "indication", "technique", "comparison", "examination"}),
        (WET_READ, {"findings", "indication"}),  # a heading in the first line is none to them
        (NO_HEADINGS, {"full report", "last_paragraph"}),
        ("\n LUNGS: Clear.\n \n No effusion.\n", {"lungs", "last_paragraph"}),
    ],
)
def test_the_authors_sections(text, expected):
    assert {*read_sections_as_authors(as_stored(text))} - {"preamble"} == expected
