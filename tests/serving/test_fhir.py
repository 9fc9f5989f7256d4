"""FHIR R4: what https://hl7.org/fhir/R4/diagnosticreport.html asks of a DiagnosticReport."""

from xml.etree import ElementTree

import pytest

from kia.serving.fhir import diagnostic_report

FOUND = {
    "report": "The heart is <enlarged>.",
    "notice": "Research only. Not for clinical use.",
    "findings": {"Cardiomegaly": 0.93, "Edema": 0.2},
    "flags": [{"view": 0, "kind": "colour", "message": "No X-ray?"}],
}


def test_what_must_be_there_is_there():
    report = diagnostic_report(FOUND)
    assert report["resourceType"] == "DiagnosticReport"
    assert report["status"] == "preliminary"  # of the value set diagnostic-report-status
    assert report["code"]["coding"][0]["system"] == "http://loinc.org"
    assert "subject" not in report and "effectiveDateTime" not in report  # nobody told us


def test_notice_and_doubts_come_before_the_report():
    report = diagnostic_report(FOUND)
    expected = ["Research only. Not for clinical use.", "No X-ray?", "", "The heart is <enlarged>."]
    assert report["conclusion"].split("\n") == expected
    narrative = ElementTree.fromstring(report["text"]["div"])
    assert narrative.tag == "{http://www.w3.org/1999/xhtml}div"
    assert [part.text for part in narrative] == [text for text in expected if text]


def test_findings_are_contained_observations():
    report = diagnostic_report(FOUND)
    first, second = report["contained"]
    assert [f"#{one['id']}" for one in report["contained"]] == [
        one["reference"] for one in report["result"]
    ]
    assert first["valueQuantity"]["value"] == pytest.approx(0.93)
    assert first["code"]["text"].startswith("Cardiomegaly")
    assert {one["status"] for one in (first, second)} == {"preliminary"}


def test_a_model_that_names_no_findings_has_none():
    report = diagnostic_report(FOUND | {"findings": None})
    assert "contained" not in report and "result" not in report
