"""A report as HL7 FHIR R4 JSON: a preliminary DiagnosticReport of no patient.

Written by hand from https://hl7.org/fhir/R4/diagnosticreport.html: it names no subject, no
encounter and no clinician, because a server that knows only images cannot. Whoever stores it adds
them, and a person's interpretation.
"""

from html import escape
from typing import Any

import kia
from kia.reporting.forms import NO_REPORT


def diagnostic_report(found: dict[str, Any]) -> dict[str, Any]:
    """A DiagnosticReport with the text as conclusion and the findings as contained Observations.

    Args:
        found: A `kia.reporting.Report` as JSON has it, with or without `flags`.

    Returns:
        Ready for JSON; status "preliminary". Matching degree and heat maps have no place in it.
    """
    notices = [found["notice"], *(flag["message"] for flag in found.get("flags", ()))]
    text = NO_REPORT if found["report"] is None else found["report"]
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in (*notices, text))
    findings = list((found["findings"] or {}).items())
    observations = [
        _observation(f"finding-{n}", name, p) for n, (name, p) in enumerate(findings, 1)
    ]
    report = {
        "resourceType": "DiagnosticReport",
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>',
        },
        "status": "preliminary",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
                        "code": "RAD",
                        "display": "Radiology",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {
                    "system": "http://loinc.org",
                    "code": "18748-4",
                    "display": "Diagnostic imaging study",
                }
            ],
            "text": "Chest X-ray report written by a research model",
        },
        "performer": [{"display": f"kia {kia.__version__}, a research model; no clinician"}],
        "conclusion": "\n".join([*notices, "", text]),
    }
    if observations:
        report["contained"] = observations
        report["result"] = [{"reference": f"#{one['id']}"} for one in observations]
    return report


def _observation(identity: str, name: str, probability: float) -> dict[str, Any]:
    """The probability of a finding; a number from a model, not a diagnosis."""
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "preliminary",
        "code": {"text": f"{name}: probability of presence, by a research model"},
        "valueQuantity": {
            "value": round(probability, 4),
            "system": "http://unitsofmeasure.org",
            "code": "1",
        },
    }
