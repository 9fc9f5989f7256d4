"""Reads statements back from text written in the phantom's grammar, also from model output."""

import re
from collections.abc import Iterator

_MENTIONS: tuple[tuple[str, str], ...] = (
    # Order matters: a phrase that is taken is not read again by a later pattern.
    ("", r"mediastinal lines?|lung volumes?"),
    ("Pneumothorax", r"(?:visceral )?pleural lines?|pneumothora(?:x|ces)"),
    ("Lung Lesion", r"nodular (?:opacit|densit)\w+|nodules?|mass(?:es)?"),
    ("Consolidation", r"consolidati(?:ons?|ve)(?: opacit\w+)?"),
    ("Atelectasis", r"atelecta(?:sis|ses|tic)\w*"),
    (
        "Support Devices",
        r"tubes?|catheters?|lines?|picc|pacemakers?|wires?|leads?|intubated|devices?|port",
    ),
    ("Fracture", r"fractur(?:es?|ed)"),
    (
        "Pleural Effusion",
        r"effusions?|blunt(?:ing|ed)|pleural fluid|angles? (?:is|are) obscured",
    ),
    ("Lung Opacity", r"opaci(?:ty|ties|fication|fications)|infiltrates?"),
    ("Edema", r"edema"),
    (
        "Cardiomegaly",
        r"cardiomegaly|cardiac enlargement|enlargement of the (?:cardiac|heart)\w*"
        r"|enlarged (?:heart|cardiac)|(?:heart|cardiac silhouette|cardiac size)\b[^,]*\benlarged",
    ),
)
_PATTERN = re.compile(
    "|".join(rf"(?P<m{i}>\b(?:{p})\b)" for i, (_, p) in enumerate(_MENTIONS)), re.IGNORECASE
)
_NORMAL = r"(?:normal|unremarkable|within normal limits|not enlarged)"
_HEALTHY: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (names, re.compile(pattern))
    for names, pattern in (
        (("Cardiomegaly",), rf"\b(?:heart|cardiac)\b.*\b{_NORMAL}|\bnormal (?:heart|cardiac)"),
        (
            ("Cardiomegaly", "Enlarged Cardiomediastinum"),
            rf"\bcardiomediastinal\b.*\b{_NORMAL}|\bnormal cardiomediastinal",
        ),
        (
            ("Enlarged Cardiomediastinum",),
            rf"\bmediastin(?:al|um)\b.*\b{_NORMAL}|\bnormal mediastin",
        ),
        (("Lung Opacity",), r"\blungs\b.*\bclear\b|\bclear lungs\b"),
        (("Pleural Effusion",), r"\bangles?\b.*\b(?:sharp|clear)\b|\bsharp costophrenic"),
        (("Fracture",), r"\b(?:bones|osseous|bony|ribs|skeletal)\b.*\bintact\b"),
    )
)
_NEGATION = re.compile(r"\b(?:no|not|without|free of|negative for|absence of|denies|nor|neither)\b")
_NEGATED_AFTER = re.compile(r"\b(?:absent|(?:is|are) not (?:seen|present|identified|visible))\b")
_CLAUSE = re.compile(r"[.;\n]|\b(?:but|however|although|whereas|otherwise)\b")


def _clauses(report: str) -> Iterator[str]:
    text = re.sub(r"\s+", " ", report.lower()).replace(" - ", "-")
    for clause in _CLAUSE.split(text):
        if clause.strip():
            yield clause.strip()


def _statements(clause: str) -> Iterator[tuple[str, bool]]:
    """Observations of a clause, each with whether it is present."""
    healthy = {name for names, pattern in _HEALTHY if pattern.search(clause) for name in names}
    yield from ((name, False) for name in healthy)
    negation = _NEGATION.search(clause)
    denied = len(clause) if negation is None else negation.start()
    if _NEGATED_AFTER.search(clause):
        denied = -1
    for match in _PATTERN.finditer(clause):
        name = _MENTIONS[int(str(match.lastgroup)[1:])][0]
        if name and name not in healthy:
            # "heart is not enlarged": the cue may stand inside the phrase.
            present = match.end() <= denied
            yield name, present


def parse_findings(report: str) -> dict[str, set[str]]:
    """What a report in the phantom's grammar says is present and absent.

    Args:
        report: Raw or lower-cased, with or without spaces before full stops; it may be
            slightly ungrammatical.

    Returns:
        {"present": observations, "absent": observations}, CheXpert names; an observation
        that is said to be both counts as present.
    """
    said = {True: set[str](), False: set[str]()}
    for clause in _clauses(report):
        for name, present in _statements(clause):
            said[present].add(name)
    return {"present": said[True], "absent": said[False] - said[True]}


def parse_statements(report: str) -> set[tuple[str, str]]:
    """Present findings of a report with their side.

    Args:
        report: As for parse_findings.

    Returns:
        (observation, side), side being "right", "left", "bilateral" or "".
    """
    found = set()
    for clause in _clauses(report):
        side = _side(clause)
        for name, present in _statements(clause):
            if present:
                found.add((name, "" if name == "Cardiomegaly" else side))
    return found


def _side(clause: str) -> str:
    clause = clause.replace("right heart", "heart")
    right = bool(re.search(r"\bright\b", clause))
    left = bool(re.search(r"\bleft\b", clause))
    if re.search(r"\b(?:bilateral(?:ly)?|both|bibasilar|bibasal)\b", clause) or (right and left):
        return "bilateral"
    return "right" if right else "left" if left else ""
