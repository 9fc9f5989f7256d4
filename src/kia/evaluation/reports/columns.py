"""Which column of a file is the generated report, and which the reference.

Some files hold both: JSON lines with `prediction` and `reference`, ReXrank's prediction.json. A
file of one side has any of the field's names for a report (`kia.tables.columns.ALIASES`).
"""

import re
from collections.abc import Collection, Mapping, Sequence
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
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_REXRANK = (("section_findings", "section_impression"), ("findings", "impression"))


@dataclass(frozen=True)
class Choice:
    """How a file of reports is read.

    Attributes:
        id_column: The user's name for the ids, which counts where it is there (reports of kia and
            a hospital's references have other names); None for the usual ones.
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


@dataclass(frozen=True)
class Source:
    """Where in an entry a text stands.

    Attributes:
        column: Plain name; "" for a text that is put together.
        parts: Findings and impression, put together as ReXrank's evaluation_script.md does.
    """

    column: str
    parts: tuple[str, str] | None = None

    def text(self, values: Mapping[str, Any], place: str) -> str:
        """The text of an entry; "" where it is missing.

        Args:
            values: Of the entry.
            place: For errors.

        Raises:
            DataError: It is a list or an object, or holds half of a character.
        """
        if self.parts is not None:
            findings, impression = (
                None if is_missing(v := values.get(p)) else v for p in self.parts
            )
            return f"Findings: {findings} Impression: {impression}"
        value = values.get(self.column)
        if isinstance(value, list) and value:  # [text], as coco's scorers take it
            value = only_text(value, place)
        if isinstance(value, bool | list | tuple | dict):
            raise DataError(f"{place}: the report must be a text")
        text = "" if is_missing(value) else text_of(value)
        if _HALF_CHARACTER.search(text):
            raise DataError(
                f"{place}: an escape such as \\ud83d is half of a character; write both"
            )
        return text


def only_text(texts: Sequence[Any], place: str) -> Any:
    """The one text of a study that is given as a list of texts.

    Raises:
        DataError: There are several, or none.
    """
    if len(texts) != 1:
        raise DataError(f"{place}: {len(texts)} texts; kia scores one report against one reference")
    return texts[0]


def source_of(where: str, names: Sequence[str], role: Role, choice: Choice) -> Source:
    """Where the texts of a role stand.

    Args:
        where: The file, for errors.
        names: Plain names of its columns.
        role: What the file is read for.
        choice: The user's name for the column, and whether reports are headed.

    Raises:
        DataError: No column has such a name, or the chosen one is not there.
    """
    if choice.report_column is not None:
        return Source(_chosen(where, names, choice.report_column))
    if role == "references" and (found := _of_rexrank(where, names, choice.headed)):
        return found
    order = (*PREDICTED, *REPORT) if role == "predictions" else (*REFERENCE, *REPORT)
    if (column := next((name for name in order if name in names), None)) is not None:
        return Source(column)
    others = listed(names) or "nothing but ids"
    raise DataError(
        f"{where} has no column {', '.join(REPORT)} …; it has {others} ({OPTION[role]} names yours)"
    )


def reference_beside(
    where: str, names: Sequence[str], prediction: str, chosen: str | None, headed: bool
) -> Source | None:
    """Where the references stand in a file of predictions; None if it has none.

    Args:
        where: The file, for errors.
        names: Plain names of its columns.
        prediction: The column of generated reports. Only beside one that says that it is generated
            an ordinary report is the reference.
        chosen: The user's name for the references.
        headed: Whether the generated reports begin with a heading.
    """
    left = [name for name in names if name != prediction]
    if chosen is not None:
        return Source(_chosen(where, left, chosen))
    if prediction in PREDICTED and (found := _of_rexrank(where, left, headed)):
        return found
    order = (*REFERENCE, *REPORT) if prediction in PREDICTED else REFERENCE
    column = next((name for name in order if name in left), None)
    return None if column is None else Source(column)


def are_headed(reports: Collection[str]) -> bool:
    """Whether most reports begin with "Findings:", as ReXrank's do."""
    return 2 * sum(bool(_HEADED.match(report)) for report in reports) > len(reports)


def _chosen(where: str, names: Sequence[str], column: str) -> str:
    if plain(column) not in names:
        raise DataError(f"{where}: no column {column!r}; it has {listed(names)}")
    return plain(column)


def _of_rexrank(where: str, names: Sequence[str], headed: bool) -> Source | None:
    """What of a file of ReXrank is the reference; None if the file is another.

    ReXrank's own scores are of "Findings: … Impression: …" against generated reports in that form;
    reports without these headings are of the findings alone, as R2Gen's and kia's.
    """
    parts = next((pair for pair in _REXRANK if set(pair) <= set(names)), None)
    if parts is None or not {"context", "section_findings"} & set(names):
        return None
    if headed:
        note(f"{where}: references are findings and impression with headings, as ReXrank scores")
        return Source("report") if "report" in names else Source("", parts)
    note(f"{where}: references are the column {parts[0]} (--reference-column names another)")
    return Source(parts[0])
