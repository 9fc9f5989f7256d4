"""Numbers and addresses that lead to one person: of records, devices, telephones, the net."""

import re
from collections.abc import Iterator

from kia.data.deidentify.spans import Kind, Personal, matches

_SIGN = r"(?:\s*(?:numbers?|no\.?|nr\.?|num\.?|id|identifier|code|#))"
_TO = r"(?:\s*(?:is|was|:|=|#|,)){0,2}\s*"
_VALUE = r"(?P<x>(?=[A-Z\d./-]{0,24}\d)[A-Z]{0,4}[-./]?\d?[A-Z\d]*(?:[-./][A-Z\d]+){0,5})(?![\w])"
_OF_RECORDS = [
    # (what the number is of, whether it may stand without "number", "no.", "#" or ":")
    (
        r"mrn|m\.r\.n\.|mr\s?#|medical records?|ssn|nhs|nino|accession|acc\b\.?|medicare|medicaid",
        True,
    ),
    (r"social security|dossier|passport|npi", True),
    (r"hospital|patient|chart|record|account|acct\.?|encounter|visit|order|requisition", False),
    (
        r"study|exam(?:ination)?|case|job|insurance|policy|member|plan|card|licen[cs]e|specimen",
        False,
    ),
    (r"confirmation|report|document|health plan|health card|dictation|certificate|fin", False),
]
_DIGIT = re.compile(r"\d")
_LABELLED = [
    re.compile(rf"\b(?:{what}){_SIGN}{'?' if bare else ''}{_TO}{_VALUE}", re.IGNORECASE)
    for what, bare in _OF_RECORDS
]
_LEAST_DIGITS = 4  # "case 2", "study no. 3" count things
_PLAIN = [
    re.compile(pattern)
    for pattern in (
        r"(?<![\w.,-])\d{3}-\d{2}-\d{4}(?![\w-])",  # a social security number
        r"(?<![\w.,/-])\d{7,}(?![\w/]|[.,-]\d)",  # nothing else in a report has so many digits
        r"(?<![\w./-])[A-Z]{1,3}-?\d{6,}[A-Z]?(?![\w/-])",
        r"(?<![\w.])\d+(?:\.\d+){5,}(?![\w.])",  # a DICOM UID
        r"\bNHS\D{0,12}(?P<x>\d{3}[ -]?\d{3}[ -]?\d{4})(?!\d)",
    )
]
_PLATE = re.compile(
    rf"\b(?:(?:licen[cs]e|number|vehicle|registration)\s+plates?){_SIGN}?{_TO}{_VALUE}",
    re.IGNORECASE,
)
_SERIAL = re.compile(
    rf"(?:\bserial{_SIGN}?|\bs/n|\bsn\s?[:#]|\blot{_SIGN}|\bimei|\budi|\bdevice{_SIGN}){_TO}{_VALUE}",
    re.IGNORECASE,
)

_TELEPHONES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w.,+-])(?:\+?1[ .-]?)?(?:\(\d{3}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])",
        r"(?<![\w.])\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){3,7}(?!\w)",
        r"\b(?:phone|tel(?:ephone)?\.?|calls?|called|fax|cell|mobile|contact|at|number|dial|reached)"
        r"\W{1,3}(?:\w+\W){0,2}(?P<x>\d{3}-\d{4})(?![\w-])(?!\s*(?:[cm]?[lm]|hu|kv|mas)\b)",
        r"\b(?:pager|beeper|ext(?:ension)?|dect)\b\.?(?:\s*(?:number|no\.?|is|#|:))*\s*"
        r"x?(?P<x>\d{1,3}[- ]?\d{3,4}|\d{3,6})(?!\w)",
        r"\b(?:phone|tel(?:ephone)?|fax|cell|mobile|call ?back)\b\.?"
        r"(?:\s*(?:number|no\.?|is|#|:))*\s*(?P<x>\+?\d(?:[ ()./-]{0,2}\d){4,14})(?!\w)",
        r"(?<!\w)x(?P<x>\d{4,5})(?!\w)",
    )
]
_ON_THE_NET = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w.+-])[\w.+-]{1,64}@[a-z\d-]{1,63}(?:\.[a-z\d-]{1,63}){1,5}",
        r"\b(?:https?|ftp)://[^\s<>\"')\]]{1,500}[^\s<>\"')\].,;:]",
        r"\bwww\.[^\s<>\"')\]]{1,500}[^\s<>\"')\].,;:]",
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)",
        r"(?<![\w:])(?:[\da-f]{2}[:-]){5}[\da-f]{2}(?![\w:])",
    )
]


def find_numbers(text: str) -> Iterator[Personal]:
    """Numbers of records, accounts, insurances, devices and vehicles."""
    if not _DIGIT.search(text):
        return
    for pattern in (*_LABELLED, _PLATE):
        yield from _valued(pattern, text, "record number", _LEAST_DIGITS)
    for pattern in _PLAIN:
        yield from matches(pattern, text, "record number")
    yield from _valued(_SERIAL, text, "device number", 3)


def find_contacts(text: str) -> Iterator[Personal]:
    """Numbers of telephones, fax machines and pagers; addresses of mail, web and network."""
    for pattern in _TELEPHONES if _DIGIT.search(text) else ():
        yield from matches(pattern, text, "telephone number")
    for pattern in _ON_THE_NET:
        yield from matches(pattern, text, "e-mail or web address")


def _valued(pattern: re.Pattern[str], text: str, kind: Kind, digits: int) -> Iterator[Personal]:
    """Values with at least so many digits."""
    for match in pattern.finditer(text):
        if sum(character.isdigit() for character in match["x"]) >= digits:
            yield Personal(*match.span("x"), kind)
