"""Which column of a file is the generated report, and which the reference.

Some files hold both: JSON lines with `prediction` and `reference`, ReXrank's prediction.json. A
file of one side has any of the field's names for a report (`kia.tables.columns.ALIASES`).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kia.errors import DataError
from kia.studies import Split
from kia.tables.cells import is_missing, text_of
from kia.tables.columns import ALIASES, listed, plain
from kia.tables.notes import note

Role = Literal["predictions", "references"]

PREDICTED = (
    *("model_prediction", "prediction", "pred", "generated_report", "generated"),
    *("hypothesis", "hyp"),
)
"""Names that only a generated report has."""

REFERENCE = ("reference", "ref", "ground_truth", "groundtruth", "gt", "target")
"""Names that only a reference has."""

REPORT = tuple(name for name in ALIASES["report"] if name not in PREDICTED)
"""Names that either may have; the first that is there counts."""

OPTION: Mapping[Role, str] = {
    "predictions": "--report-column",
    "references": "--reference-column",
}

_HEADED = re.compile(r"\s*findings?\s*:", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """How a file of reports is read.

    Attributes:
        id_column: The user's name for the ids; None for the usual ones.
        report_column: The user's name for the texts of the role.
        reference_column: In a file of predictions that holds references too, the name of these.
        split: Of R2Gen's annotation.json.
        headed: The generated reports begin with "Findings:", as ReXrank's do; for its references.
    """

    id_column: str | None = None
    report_column: str | None = None
    reference_column: str | None = None
    split: Split = "test"
    headed: bool = False


def text_column(
    where: str, names: Collection[str], role: Role, chosen: str | None = None
) -> str | None:
    """The column with the texts of a role.

    Args:
        where: The file, for errors.
        names: Plain names of its columns.
        role: What the file is read for.
        chosen: The user's name for it.

    Returns:
        None if there is none.

    Raises:
        DataError: The chosen one is not there.
    """
    if chosen is not None:
        if plain(chosen) not in names:
            raise DataError(f"{where}: no column {chosen!r}; it has {listed(list(names))}")
        return plain(chosen)
    order = (*PREDICTED, *REPORT) if role == "predictions" else (*REFERENCE, *REPORT)
    return next((name for name in order if name in names), None)


def no_text_column(where: str, names: Collection[str], role: Role) -> DataError:
    """The error for a file without texts."""
    return DataError(
        f"{where} has no column {', '.join(REPORT)} …; it has {listed(list(names)) or 'nothing but ids'} "
        f"({OPTION[role]} names yours)"
    )


def reference_beside(
    where: str, names: Collection[str], prediction: str | None, chosen: str | None = None
) -> str | None:
    """The column of references in a file of predictions; None if it has none.

    Args:
        where: The file, for errors.
        names: Plain names of its columns.
        prediction: The column of generated reports. Only beside one that says that it is generated
            an ordinary report is the reference.
        chosen: The user's name for the references.
    """
    left = [name for name in names if name != prediction]
    if chosen is not None:
        return text_column(where, left, "references", chosen)
    if prediction in PREDICTED:
        return text_column(where, left, "references")
    return next((name for name in REFERENCE if name in left), None)


def rexrank_text(
    where: str, names: Collection[str], headed: bool
) -> tuple[str, tuple[str, str] | None] | None:
    """What of a file of ReXrank is the reference: its findings, or all of it.

    ReXrank's own scores are of "Findings: … Impression: …" against generated reports in that form;
    reports without these headings are of the findings alone, as R2Gen's and kia's.

    Args:
        where: The file, for a note.
        names: Plain names of its columns.
        headed: Whether the generated reports begin with a heading.

    Returns:
        The column, or ("", (findings, impression)) to be put together as ReXrank does; None if the
        file is not ReXrank's.
    """
    if {"section_findings", "section_impression"} <= set(names):
        parts = ("section_findings", "section_impression")
    elif {"findings", "impression", "model_prediction"} <= set(names):
        parts = ("findings", "impression")
    else:
        return None
    if headed:
        note(f"{where}: references are findings and impression with headings, as ReXrank scores")
        return ("report", None) if "report" in names else ("", parts)
    note(f"{where}: references are {parts[0]!r} (--reference-column report takes all)")
    return parts[0], None


def are_headed(reports: Iterable[str]) -> bool:
    """Whether most reports begin with "Findings:", as ReXrank's do."""
    found = [bool(_HEADED.match(report)) for report in reports]
    return 2 * sum(found) > len(found)


def put_together(values: Mapping[str, Any], parts: tuple[str, str]) -> str:
    """The reference as ReXrank's evaluation_script.md puts it together."""
    findings, impression = (None if is_missing(values.get(p)) else values[p] for p in parts)
    return f"Findings: {findings} Impression: {impression}"


def report_text(value: Any, place: str) -> str:
    """A report as text; "" where it is missing; DataError if it is a list or an object."""
    if isinstance(value, list) and len(value) == 1:  # [text], as coco's scorers take it
        value = value[0]
    if isinstance(value, bool | list | tuple | dict):
        raise DataError(f"{place}: the report must be a text")
    return "" if is_missing(value) else text_of(value)
