"""Sections of MIMIC-CXR's reports: free text under headings, some of them missing or misspelt.

Agrees in what it looks for with `section_parser.py` of the data set's authors (Johnson et al.,
github.com/MIT-LCP/mimic-cxr): names of sections, the last of equal headings, the last paragraph
where neither findings nor impression has a heading. It differs where that code lists single
studies or typing errors: here rules find them.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches

# What radiologists call a section; "final report" ends what precedes it and is none itself.
_HEADINGS = {
    "findings": ("findings", "finding", "reference findings"),
    "impression": ("impression", "conclusion", "summary", "findings and impression"),
    "indication": ("indication", "reason for exam", "reason for examination"),
    "history": ("history", "clinical history", "clinical information"),
    "comparison": ("comparison", "reference exam"),
    "technique": ("technique", "procedure"),
    "examination": ("examination", "exam", "type of examination", "study"),
    "recommendations": ("recommendations", "recommendation", "recommendation(s)"),
    "notification": ("notification", "communication"),
    "wet_read": ("wet read", "wetread", "preliminary report", "provisional findings impression"),
    "addendum": ("addendum", "final addendum"),
    "note": ("note", "comment", "date", "dictated by", "cc"),
}
_SECTION_OF = {heading: section for section, names in _HEADINGS.items() for heading in names}
_MIXED_CASE = ("findings", "impression", "indication", "comparison", "technique", "history")
_CONTAINED = ("impression", "findings", "comparison", "history", "indication", "addendum")
_ADDED = re.compile(
    r"\b(other|additional|incidental|further|secondary|associated|critical|urgent)\b"
)
"""Before "findings": they are appended to those that stand under the plain heading."""
_EARLIER = re.compile(r"\b(prior|previous|old)\b")
# A heading of such words alone introduces the description of the pictures: "CHEST, TWO VIEWS:".
_NAMED = {"chest", "film", "films", "portable", "radiograph", "radiographs", "ribs"} | {
    *("view", "views", "windows"),
}
_PICTURES = _NAMED | {
    *("a", "and", "of", "the", "one", "two", "three", "single", "x", "ray", "xray", "bone", "rib"),
    *("ap", "pa", "lat", "lateral", "frontal", "obliques", "supine", "upright", "semi"),
    *("semiupright", "abdomen"),
}
_TOLD = re.compile(
    r"\b(?:discussed|communicated|conveyed|relayed|telephoned?|paged|notified|informed|called|"
    r"reported to|posted|emailed|entered)\b",
    re.IGNORECASE,
)
_SOMEBODY = re.compile(
    r"\b(?:dr|physician|nurse|team|telephone|phone|pager?|dashboard|e-?mail)\b|\b(?:to|with) ___",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^ {0,3}([A-Za-z][\w ()/,.&'-]{1,70}?) ?:(?=\s|$)", re.MULTILINE)
_TITLE = re.compile(
    r"^[ \t]*(FINAL REPORT|(?:FINAL )?ADDENDUM|WET READ[^a-z\n]*)[ \t]*$", re.MULTILINE
)
_RULE = re.compile(r"^\s*[_=*-]{6,}\s*$", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def read_sections(text: str) -> dict[str, str]:
    """Split a report into sections.

    Args:
        text: Of a file `s50414267.txt`. De-identification marks (`___`) stay as they are.

    Returns:
        Section → text on one line, in the order of the report: "findings", "impression",
        "indication", "history", "comparison", "technique", "examination", "recommendations",
        "notification", "wet_read", "addendum", "note". Of equal sections the last that is not
        empty counts; additional findings and pictures that are described later are appended. A
        section that only tells whom somebody called is a notification. Where there is neither
        findings nor impression, "last_paragraph" is what the report ends with: the paragraphs after
        the first of its last section, or all of that section if it has two sentences.
    """
    found: dict[str, str] = {}
    last = ""
    for section, heading, content in _pieces(_RULE.sub("", text.replace("\r\n", "\n"))):
        if not content.strip():
            continue
        if section not in ("wet_read", "addendum", "notification", "note"):
            last = content
        said = " ".join(content.split())
        if section in ("findings", "impression") and is_telephone_note(said):
            section = "notification"
        if section == "findings" and _is_appended(heading) and "findings" in found:
            said = f"{found['findings']} {said}"
        if section:
            found.pop(section, None)
            found[section] = said
    if not found.keys() & {"findings", "impression"} and (text := _conclusion(last)):
        found["last_paragraph"] = text
    return found


def heading_section(heading: str) -> str | None:
    """The section that a heading opens; None for one that stands within a section.

    Args:
        heading: Without its colon: "IMPRESSION", "FINDINGS/IMPRESSION", "CHEST, TWO VIEWS" …
    """
    name = " ".join(re.sub(r"\s*/\s*", " and ", heading.lower()).split())
    if name.startswith(("wet read", "wetread", "provisional", "preliminary", "pfi")):
        return "wet_read"
    if not heading.isupper():  # a line of prose may begin with a word and a colon
        return name if name in _MIXED_CASE and heading[0].isupper() else None
    if name in _SECTION_OF:
        return _SECTION_OF[name]
    for section in _CONTAINED:
        if section in name:
            return "comparison" if section == "findings" and _EARLIER.search(name) else section
    for near in get_close_matches(name, _SECTION_OF, n=1, cutoff=0.8):
        # "MPRESSION" is a typing error, "COMPRESSION" another word
        if near[0] == name[0] or get_close_matches(name, [near], cutoff=0.9):
            return _SECTION_OF[near]
    return "findings" if _names_pictures(name) else None


def is_telephone_note(text: str) -> bool:
    """Whether every sentence tells whom somebody called: "Discussed with Dr. ___ at 10:30"."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text.replace("Dr.", "Dr").strip())
    return all(_TOLD.search(one) and _SOMEBODY.search(one) for one in sentences)


def _names_pictures(name: str) -> bool:
    words = re.findall(r"[a-z]+", name.lower())
    return _PICTURES.issuperset(words) and not _NAMED.isdisjoint(words)


def _is_appended(heading: str) -> bool:
    """Whether a heading of findings does not say the same as FINDINGS."""
    name = heading.lower()
    return bool(_ADDED.search(name)) or "finding" not in name


def _pieces(text: str) -> Iterator[tuple[str, str, str]]:
    """(section, heading, raw text) one after the other; "" for text that no heading opens."""
    marks = [(m.start(), m.end(), _title_section(m[1]), "") for m in _TITLE.finditer(text)]
    for match in _HEADING.finditer(text):
        if opened := heading_section(match[1]):
            marks.append((match.start(), match.end(), opened, match[1]))
    section, name, start = "", "", 0
    for begin, end, following, heading in sorted(marks, key=lambda m: (m[0], -m[1])):
        if begin < start:
            continue  # a heading within a title: "WET READ: ___ 8:42 PM"
        inside = section in ("findings", "impression")
        if inside and following == "findings" and _names_pictures(heading):
            continue  # "RIBS:" among the findings or in the impression
        yield section, name, text[start:begin]
        section, name, start = following, heading, end
    yield section, name, text[start:]


def _title_section(title: str) -> str:
    if title == "FINAL REPORT":
        return ""
    return "addendum" if title.endswith("ADDENDUM") else "wet_read"


def _conclusion(text: str) -> str:
    paragraphs = [" ".join(part.split()) for part in _BLANK_LINE.split(text.strip())]
    paragraphs = [part for part in paragraphs if part and not is_telephone_note(part)]
    if len(paragraphs) > 1:
        return " ".join(paragraphs[1:])
    whole = paragraphs[0] if paragraphs else ""
    return whole if len(re.findall(r"\w[.!?](?=\s|$)", whole)) > 1 else ""
