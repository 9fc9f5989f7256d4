"""Cleans report text for the model; what a metric does to text belongs to kia.evaluation."""

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Section = Literal["findings", "impression", "both", "report"]
"""Which text of a report a model learns to write."""

_WORD = re.compile(r"\w+(?:(?:['/-]|(?<=\d)\.(?=\d))\w+)*|[^\w\s]")


def normalise(report: str) -> str:
    """Raw report without control characters and with single spaces; case is kept."""
    text = unicodedata.normalize("NFC", report)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in text)
    return " ".join(text.split())


def target_text(report: str) -> str:
    """Text that the model learns to write: `normalise`, lower-case.

    De-identified words stay as "xxxx" tokens; punctuation is left to the tokenizer.
    """
    return normalise(report).lower()


def words(report: str) -> list[str]:
    """Words and punctuation marks of the target text; decimals and hyphenated words stay whole."""
    return _WORD.findall(target_text(report))


def default_section(annotation: Path | None) -> Section:
    """The target text where none is asked for: the text of R2Gen's annotation, or the findings."""
    return "findings" if annotation is None else "report"


def section_text(sections: Mapping[str, str], section: Section) -> str:
    """The target text among the sections of a report.

    Args:
        sections: Lower-case name → text, in the order of the report.
        section: "findings"; "impression"; "both" of them, one after the other, or the one that
            is there; "report": all sections, each after its heading.

    Returns:
        "" if the report has no such text.
    """
    if section == "report":
        return "\n".join(f"{name.upper()}: {text}" for name, text in sections.items())
    names = ("findings", "impression") if section == "both" else (section,)
    return "\n".join(sections[name] for name in names if sections.get(name, "").strip())
