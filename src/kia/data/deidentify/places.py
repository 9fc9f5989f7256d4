"""Places smaller than a state, and institutions."""

import re
from collections.abc import Iterator

from kia.data.deidentify.spans import Personal, matches
from kia.data.deidentify.vocabulary import vocabulary

_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ"
    "|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
)
_WORD = r"[A-Z][^\W\d_]+(?:['’-][^\W\d_]+)*"
_CITY = rf"{_WORD}(?:\s{_WORD}){{0,2}}"
_TOWN = rf"(?:,?\s+{_CITY},?\s+(?:{_STATES})(?:\s+\d{{5}}(?:-\d{{4}})?)?)"
_ZIP_TOWN = re.compile(rf"\b{_CITY},?\s+(?:{_STATES})\s+\d{{5}}(?:-\d{{4}})?\b")
_STREET = re.compile(
    r"\b\d{1,5}[A-Z]?\s+(?:(?:[NSEW]|North|South|East|West)\.?\s+)?"
    rf"(?:{_WORD}\s+){{1,3}}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Terrace|Parkway|Pkwy"
    r"|Highway|Hwy|Square|Circle|Way|Crescent)\b\.?"
    rf"(?:,?\s+(?:Apt|Apartment|Unit|Suite|Ste|Floor)\.?\s+#?\w{{1,6}}|,?\s+#\w{{1,6}})?{_TOWN}?"
)
_BOX = re.compile(rf"\bP\.?\s?O\.?\s?Box\s+\d+{_TOWN}?", re.IGNORECASE)
_ZIP = re.compile(
    r"\b(?:zip(?:\s?code)?|postal code|postcode)\s*:?\s*(?P<x>\w{2,5}[ -]?\w{2,4})\b", re.I
)
_HOME = re.compile(
    r"\b(?:liv(?:es|ed|ing) (?:in|near)|resid(?:es|ed|ing) (?:in|at)|resident of"
    r"|moved (?:here )?from|native of|born in|commutes? from|travell?ed from|home in"
    r"|(?:city|town|county|village) of)"
    rf"\s+(?P<x>{_CITY}(?:,\s+(?:{_STATES})\b)?)|\b(?:in|from|near) (?P<y>{_CITY}, (?:{_STATES}))\b"
)
_HOUSE = re.compile(
    rf"\b(?P<x>(?:(?:St|Mt)\.\s)?(?P<n>{_WORD}(?:\s(?:of\s|the\s)?{_WORD}){{0,4}})\s"
    r"(?:Hospital|Medical Cent(?:er|re)|Clinic|Nursing Home|Nursing Facility|Health Cent(?:er|re)"
    r"|Healthcare|Hospice|Infirmary|Cancer Cent(?:er|re)|Rehabilitation Cent(?:er|re)|Sanatorium"
    r"|Care Home|Imaging Cent(?:er|re)|Surgery Cent(?:er|re)))\b"
    rf"|(?P<u>University of {_WORD}(?:\s{_WORD})?(?:\s(?:Hospital|Medical Center))?)"
)
_JOINING = re.compile(r"\b(?:for|from|to|at|in|with|and|by|on|per|via)(?:\s|$)", re.IGNORECASE)


def find_places(text: str) -> Iterator[Personal]:
    """Addresses, towns where the words around say so, and names of hospitals and homes."""
    for pattern in (_STREET, _BOX, _ZIP_TOWN, _ZIP):
        yield from matches(pattern, text, "place")
    for match in _HOME.finditer(text):
        found = "x" if match["x"] else "y"
        if not vocabulary().is_ordinary(match[found].replace(",", "").split()[0].lower()):
            yield Personal(*match.span(found), "place")
    for match in _HOUSE.finditer(text):
        yield from _house(match)


def _house(match: re.Match[str]) -> Iterator[Personal]:
    """An institution that has a name; its leading words that are none, as "The", stay."""
    if match["u"]:
        yield Personal(*match.span(), "place")
        return
    last = max((w.end() for w in _JOINING.finditer(match["n"])), default=0)
    for word in re.compile(r"\S+").finditer(match["n"], last):
        lower = word[0].lower().removesuffix("'s").removesuffix("’s")
        if not _is_common(lower):
            start = match.start("x") if word.start() == 0 else match.start("n") + word.start()
            yield Personal(start, match.end(), "place")
            return


def _is_common(word: str) -> bool:
    words = vocabulary()
    return word in words.houses or words.is_ordinary(word) or set(word) == {"x"}
