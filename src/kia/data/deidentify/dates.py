"""Dates and ages over 89; years alone and times of day stay (45 CFR 164.514(b)(2)(i)(C))."""

import re
from collections.abc import Iterator

from kia.data.deidentify.spans import Personal, matches

_SHORT = "jan feb mar apr jun jul aug sept? oct nov dec"
_LONG = "january february march april may june july august september october november december"
_MONTH = rf"(?:(?:{_LONG.replace(' ', '|')})|(?:{_SHORT.replace(' ', '|')})\b\.?)"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_NUMBER = r"(?:0?[1-9]|1[0-2])"  # of a month
_YEAR = r"(?:1[89]|20)\d\d"
_ORDINAL = rf"{_DAY}(?:st|nd|rd|th)?"
_TO = r"\s*(?:-|–|to|and|&|through)\s*"
_NO_DAYS = (
    r"(?!\s*(?:%|[cm]?m\b|views?\b|images?\b|films?\b|ribs?\b|weeks?\b|days?\b|hours?\b|years?\b))"
)

_WRITTEN = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:{_ORDINAL}{_TO})?{_ORDINAL}\s*(?:-|/|\s|of\s)\s*{_MONTH}(?:\s*[-/,]?\s*(?:{_YEAR}|'?\d\d))?\b",
        rf"\b{_MONTH}\s*[-/]?\s*{_ORDINAL}(?:{_TO}{_ORDINAL}(?![\d/]))?(?:\s*[-/,]?\s*{_YEAR}|,?\s+'\d\d)?\b{_NO_DAYS}",
        rf"\b{_MONTH},?\s*[-/]?\s*(?:of\s+)?(?:{_YEAR}|'\d\d)\b",
        rf"\b{_YEAR}[- ]{_MONTH}[- ]{_DAY}\b",
    )
]
# "may 3 weeks", "mar" and "dec" are words in lower case, unless a year says what they are.
_A_WORD = re.compile(r"\b(?:may|mar|dec|march|jan|MAY)\b")
_HAS_YEAR = re.compile(_YEAR)

_DIGIT = re.compile(r"\d")
_BEFORE = r"(?<![\w./-])"
_AFTER = r"(?:(?=T\d\d)|(?![\w/]|[.-]\d))"
_NUMERIC = [
    re.compile(_BEFORE + pattern + _AFTER)
    for pattern in (
        rf"{_YEAR}(?P<s>[-./]){_NUMBER}(?P=s){_DAY}",
        rf"(?:{_NUMBER}(?P<s>[-./]){_DAY}|{_DAY}(?P<t>[-./]){_NUMBER})(?:(?P=s)|(?P=t)){_YEAR}",
        rf"(?:{_NUMBER}/{_DAY}|{_DAY}/{_NUMBER})/\d\d",
        r"(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])-\d\d",
        r"(?:0[1-9]|[12]\d|3[01])\.(?:0[1-9]|1[0-2])\.\d\d",
        rf"{_NUMBER}/{_DAY}\s?[-–]\s?{_NUMBER}/{_DAY}/(?:{_YEAR}|\d\d)",
        rf"{_NUMBER}/{_YEAR}",
        rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{{6}})?",
    )
]
_COUNTED = re.compile(  # ribs, vertebrae, dimensions: numbers with strokes that are no dates
    r"(?:\b(?:ribs?|levels?|discs?|disks?|vertebra[le]?|segments?|grade|images?|views?)\s+(?:\w+\s+)?"
    r"|\b[CTLS])$",
    re.IGNORECASE,
)
_COUNTED_AFTER = re.compile(
    r"\s*(?:(?:left|right|posterior|anterior|lateral)\s+)*(?:ribs?|levels?|[cm]?m)\b", re.IGNORECASE
)
_DAY_AND_MONTH = re.compile(  # 9/27, without a year: only where the words around say so
    r"\b(?:on|dated?|since|until|from|through|compar(?:ison|ed)(?:\s+(?:is made\s+)?(?:to|with))?"
    r"|exam|examination|study|film|radiograph|x-ray|cxr|prior|previous|performed|placed)"
    rf"(?:\s+(?:of|on|from|dated))?\s*:?\s+(?P<x>{_NUMBER}/{_DAY})(?![\w/]|[.-]\d)"
    r"(?!\s*(?:(?:of|the|left|right|posterior|anterior|positive|blood|sputum)\s+)*"
    r"(?:of|views?|images?|films?|series|ribs?|[cm]?m|lobes?|levels?|cultures?|bottles?|sets?"
    r"|screws?|leads?|wires?|samples?|systolic|diastolic|murmur|way|thirds?|posterior|anterior)\b)",
    re.IGNORECASE,
)
_COMPARED = re.compile(  # also behind words: "Comparison: Chest x-ray 6/8"
    rf"\bcomparison:[^.\d]{{0,40}}\s(?P<x>{_NUMBER}/{_DAY})(?![\w/]|[.-]\d|\s*(?:of|ribs?)\b)",
    re.IGNORECASE,
)
_YEAR_GONE = re.compile(  # 11/7/XXXX: half a date was left by whoever replaced the year
    r"(?<![\w./-])\d{1,2}\s?[-/]\s?\d{1,3}(?=\s?[-/]\s?(?:[Xx]{2,}|_{2,}))"
)
_MONTH_ALONE = re.compile(
    r"\b(?:[Ii]n|[Ss]ince|[Ff]rom|[Uu]ntil|[Bb]y|[Dd]uring|[Ll]ast|[Ee]arly|[Ll]ate|[Mm]id)[- ]"
    r"(?P<x>January|February|March|April|May|June|July|August|September|October|November|December)"
    r"\b(?![\s-]+(?:like|appearance|pattern|fracture))"
)

_OVER_89 = r"(?:9\d|1[0-3]\d)"
_TENS = r"(?:ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?"
_TENS += r"|(?:one|a) hundred(?: (?:and )?\w+)?)"
_AGES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\d.,/-])(?P<x>{_OVER_89})(?=[- ]?(?:years?|yrs?\.?|y)[- /]{{0,2}}"
        r"(?:of age|old|o\b|o[mf]\b|y\b))",
        rf"(?<![\d.,/-])(?P<x>{_OVER_89})(?=\s?y\.?\s?[/o]\.?\s?[omf]?\b)",
        rf"\b(?:aged?|age of|age is|at the age of|at age)\s*:?\s*(?P<x>{_OVER_89})\b(?!\s*%)",
        rf"\b(?P<x>{_TENS})(?=[- ](?:years?|yrs?)[- ](?:of age|old))",
        r"\b(?P<x>nonagenarian|centenarian)\b",
    )
]
_AGE_AND_SEX = re.compile(r"(?<![\d.,/-])(?P<x>9\d)(?=(?:\s?/\s?)?[MF]\b|\s?Y(?:/O)?\b|YO[MF]\b)")
_FEVER = re.compile(r"\b(?:temp\w*|t|febrile|fevers?)\W{1,3}(?:\w+\W+){0,2}$", re.IGNORECASE)


def find_dates(text: str) -> Iterator[Personal]:
    """Dates that tell more than a year, in words and in numbers."""
    yield from matches(_MONTH_ALONE, text, "date")
    if not _DIGIT.search(text):
        return
    for pattern in _WRITTEN:
        for match in pattern.finditer(text):
            if not _A_WORD.search(match[0]) or _HAS_YEAR.search(match[0]):
                yield Personal(*match.span(), "date")
    for pattern in _NUMERIC:
        for match in pattern.finditer(text):
            before = text[max(0, match.start() - 40) : match.start()]
            if not _COUNTED.search(before) and not _COUNTED_AFTER.match(text, match.end()):
                yield Personal(*match.span(), "date")
    for pattern in (_DAY_AND_MONTH, _COMPARED, _YEAR_GONE):
        yield from matches(pattern, text, "date")


def find_ages(text: str) -> Iterator[Personal]:
    """Ages over 89: the number alone."""
    for pattern in _AGES:
        yield from matches(pattern, text, "age over 89")
    for match in _AGE_AND_SEX.finditer(text):
        if not _FEVER.search(text[max(0, match.start() - 40) : match.start()]):
            yield Personal(*match.span("x"), "age over 89")
