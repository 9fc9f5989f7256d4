"""Sections as `section_parser.py` of MIMIC-CXR's authors finds them, for `--sections authors`.

Source: Johnson et al., github.com/MIT-LCP/mimic-cxr, `txt/section_parser.py`; its rules in our own
words. The 54 studies that it lists one by one come with `mimic_cxr_sectioned.csv` alone
(`--sectioned`), which its authors' code writes.
"""

import re

_HEADING = re.compile(r"\n ([A-Z ()/,-]+):\s")
_PARAGRAPH = "\n \n"
_NAMES = {
    "impression": "conclusion, findings and impression, findings/impression, findings/ impression, "
    "ndication, impresson, imprression, imoression, impressoin, imprssion, impresion, imperssion, "
    "mpression, impession",
    "findings": "finding, findins, findindgs, findgings, findngs, findnings, finidngs, "
    "reference findings, chest, two views",
    "comparison": "comparisons, reference exam, comparison exam, comparison film, comparision, "
    "comparsion, comparrison, comparisions",
    "indication": "reason for examination, reason for exam, clinical indication, idication",
    "history": "clinical history, clinical information, patient history, pfi",
    "examination": "exam, type of examination",
    "recommendations": "recommendation(s), recommendation",
    "wet read": "wetread",
}
_SECTION_OF = {
    name: section for section, names in _NAMES.items() for name in (section, *names.split(", "))
} | {"chest, two views": "findings"}
_KEPT = ("technique", "notification", "date", "comment", "preamble", "addendum")
_CONTAINED = ("impression", "findings", "history", "comparison", "addendum")
_PICTURES = re.compile(
    "chest|portable|pa and lateral|lateral and pa|ap and lateral|lateral and ap|frontal and|"
    "two views|frontal view|pa view|ap view|one view|lateral view|bone window|frontal upright|"
    "frontal semi-upright|ribs|pa and lat"
)


def read_sections_as_authors(text: str) -> dict[str, str]:
    """Section → text on one line; of equal names the last counts.

    Args:
        text: Of a file `s50414267.txt`.

    Returns:
        As `read_sections`, under the names of the authors' code; where neither findings nor
        impression is there, "last_paragraph" is what follows the first paragraph of the last
        section.
    """
    pieces = [
        (name, content)
        for name, content in _pieces(text)
        if content.strip() or name not in ("impression", "findings")
    ]
    names = [name for name, _ in pieces]
    if pieces and not {"impression", "findings"} & {*names}:
        name, content = pieces[-1]
        first, *others = content.split(_PARAGRAPH)
        if others:
            pieces[-1:] = [(name, first), ("last_paragraph", _PARAGRAPH.join(others))]
    return {name: " ".join(content.split()) for name, content in pieces if content.strip()}


def _pieces(text: str) -> list[tuple[str, str]]:
    """(section, raw text); a heading on the line of another one is part of its text."""
    match = _HEADING.search(text)
    if match is None:
        return [("full report", text)]
    pieces = [("preamble", text[: match.start(1)])]
    while match is not None:
        start = match.end()
        newline = text.find("\n", start)
        following = _HEADING.search(text, start if newline < 0 else newline)
        end = len(text) if following is None else following.start()
        pieces.append((_section(match[1].lower().strip()), text[start:end]))
        match = following
    return pieces


def _section(name: str) -> str:
    if name in _SECTION_OF or name in _KEPT:
        return _SECTION_OF.get(name, name)
    for section in _CONTAINED:
        if section in name:
            return section
    return "findings" if _PICTURES.search(name) else name
