"""How the targets of MIMIC-CXR differ by our section rules and by those of its authors' code.

    python experiments/mimic_sections.py

200 made-up reports in the forms that the headings of MIMIC-CXR take, each with what a radiologist
calls its findings. Prints, a form a row, the words of that text, and those that each set of rules
loses or adds (docs/data.md has the table).
"""

import itertools
from collections import Counter

from kia.data.readers.mimic_cxr.authors import read_sections_as_authors
from kia.data.readers.mimic_cxr.reports import read_sections

SAID = [
    "The lungs are clear.",
    "Heart size is top normal.",
    "There is a small left pleural effusion.",
    "No pneumothorax is seen.",
    "Bibasilar atelectasis has increased.",
    "The right internal jugular line ends in the low SVC.",
    "Mild pulmonary edema is new.",
    "Old right rib fractures are noted.",
]
NOTE = "Discussed with Dr. ___ by telephone at 10:30 a.m. on ___."
INDICATION = " INDICATION:  ___ with cough.\n \n"
IMPRESSION = " IMPRESSION:  As above.\n \n"
# form → (report with {0}, {1} in the places of what was said, what of it is the findings)
FORMS = {
    "findings and impression": (INDICATION + " FINDINGS:  {0} {1}\n \n" + IMPRESSION, "{0} {1}"),
    "sub-headings in findings": (
        INDICATION + " FINDINGS:  {0}\n RIBS:  {1}\n \n" + IMPRESSION,
        "{0} RIBS: {1}",
    ),
    "a tube among the findings": (
        INDICATION + " FINDINGS:  {0}\n CHEST TUBE:  {1}\n \n" + IMPRESSION,
        "{0} CHEST TUBE: {1}",
    ),
    "additional findings": (
        INDICATION + " FINDINGS:  {0}\n \n OTHER FINDINGS:  {1}\n \n" + IMPRESSION,
        "{0} {1}",
    ),
    "a call at the end": (
        INDICATION + " FINDINGS:  {0} {1}\n \n" + IMPRESSION + f" CRITICAL FINDINGS:  {NOTE}\n",
        "{0} {1}",
    ),
    "a sub-heading in the impression": (
        INDICATION + " FINDINGS:  {0} {1}\n \n IMPRESSION:  As above.\n PORTABLE:  Limited.\n",
        "{0} {1}",
    ),
    "a spine among the findings": (
        INDICATION + " FINDINGS:  {0}\n COMPRESSION:  {1}\n \n" + IMPRESSION,
        "{0} COMPRESSION: {1}",
    ),
    "pictures as heading": (" CHEST, TWO VIEWS:  {0} {1}\n \n" + IMPRESSION, "{0} {1}"),
    "two sets of pictures": (
        " CHEST, TWO VIEWS:  {0}\n \n TECHNIQUE:  Obliques.\n \n RIBS:  {1}\n \n" + IMPRESSION,
        "{0} {1}",
    ),
    "a typing error": (INDICATION + " FINDNGS:  {0} {1}\n \n" + IMPRESSION, "{0} {1}"),
}


def differing(found: str, true: str) -> tuple[int, int]:
    """Words that are lost, and words that are added."""
    mine, theirs = Counter(found.split()), Counter(true.split())
    return (theirs - mine).total(), (mine - theirs).total()


def main() -> None:
    """Prints the table."""
    pairs = list(itertools.permutations(SAID, 2))[::2][: 200 // len(FORMS)]
    print("| form | reports | words | kia: lost, added | authors: lost, added |")
    print("|---|---|---|---|---|")
    total = Counter[str]()
    for form, (report, findings) in FORMS.items():
        row = Counter[str]()
        for pair in pairs:
            text = "                                 FINAL REPORT\n" + report.format(*pair)
            true = findings.format(*pair)
            row["reports"] += 1
            row["words"] += len(true.split())
            for name, read in (("kia", read_sections), ("authors", read_sections_as_authors)):
                lost, added = differing(read(text).get("findings", ""), true)
                row[f"{name} lost"] += lost
                row[f"{name} added"] += added
        total += row
        _print(form, row)
    _print("all", total)


def _print(form: str, row: Counter[str]) -> None:
    cells = [f"{row[f'{name} lost']}, {row[f'{name} added']}" for name in ("kia", "authors")]
    print(f"| {form} | {row['reports']} | {row['words']} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
