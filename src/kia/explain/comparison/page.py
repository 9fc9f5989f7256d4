"""Compared reports for eyes: the marks of a sentence, and a web page (Paper: Fig. 6, 11)."""

from collections.abc import Mapping, Sequence
from html import escape

from kia.evaluation.board.page import image, page
from kia.evaluation.priors import sentences
from kia.explain.comparison.sentences import ComparedSentence, compare_reports
from kia.readable import readable

COLOURS = (
    *("#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#99DDFF", "#44BB99", "#BBCC33", "#AAAA00"),
    "#DDDDDD",
)
"""Of the reference's sentences, in their order, again from the start after the last.

Grounds for black text that differ for colour-blind eyes too: the "light" scheme of Tol (2021),
"Colour Schemes", SRON/EPS/TN/09-002.
"""

LEGEND = (
    "A colour and a number for each sentence of the reference; a sentence of a report that says "
    "the same has them too. Underlined with ≠ and a number: contradicts that sentence, in presence "
    "(there or not), place or severity. Without a mark: the reference says nothing of it."
)

STYLE = """
.compared { border-top: 1px solid #d0d7de; padding: 1rem 0; break-inside: avoid; }
.reports { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr));
  gap: 1.5rem; }
.reports h4 { margin: .3rem 0; font-size: .87rem; color: #57606a; }
.reports p { line-height: 1.9; margin: 0; }
.same { padding: .1rem .25rem; border-radius: .2rem; box-decoration-break: clone;
  -webkit-box-decoration-break: clone; }
.against { text-decoration: underline 2px solid #a40e26; text-underline-offset: 3px; }
.marks { font-size: .72rem; vertical-align: super; font-weight: 600; padding-left: .15rem; }
.marks .no { color: #a40e26; }
"""


def colour_of(place: int) -> str:
    """Of the reference's sentence at a place, from 0."""
    return COLOURS[place % len(COLOURS)]


def marks(one: ComparedSentence) -> tuple[str, str]:
    """What stands behind a sentence: "1,2" and "≠3 place"; "" where there is nothing to say."""
    same = ",".join(str(place + 1) for place in one.same)
    return same, ", ".join(f"≠{place + 1} {kind}" for place, kind in one.against.items())


def reference_sentences(reference: str) -> list[ComparedSentence]:
    """The reference compared with itself, each sentence with its own number alone."""
    return [ComparedSentence(text, (i,), {}) for i, text in enumerate(sentences(reference))]


def shown_text(one: ComparedSentence) -> str:
    """As people read it; as it is where nothing else would be left."""
    return readable(one.text) or one.text


def compared_block(id: str, columns: Mapping[str, str], images: Sequence[bytes] = ()) -> str:
    """The reports of a study side by side.

    Args:
        id: Of the study.
        columns: Name → raw report; the first is the reference.
        images: The views as PNG files.
    """
    (first, reference), *systems = columns.items()
    shown = [_column(first, reference_sentences(reference))]
    shown += [_column(name, compare_reports(report, reference)) for name, report in systems]
    views = "".join(image(file, f"view {n} of study {id}") for n, file in enumerate(images, 1))
    pictures = f'<div class="images">{views}</div>' if views else ""
    return (
        f'<div class="compared"><div class="id">{escape(id)}</div>{pictures}'
        f'<div class="reports">{"".join(shown)}</div></div>'
    )


def _column(name: str, compared: Sequence[ComparedSentence]) -> str:
    text = " ".join(map(_sentence, compared)) or "(empty)"
    return f"<div><h4>{escape(name)}</h4><p>{text}</p></div>"


def _sentence(one: ComparedSentence) -> str:
    same, against = marks(one)
    classes = [name for name, on in (("same", same), ("against", against)) if on]
    ground = f' style="background:{colour_of(one.same[0])}"' if same else ""
    numbers = [same, f'<span class="no">{escape(against)}</span>' if against else ""]
    behind = " ".join(filter(None, numbers))
    signs = f'<span class="marks">{behind}</span>' if behind else ""
    attribute = f' class="{" ".join(classes)}"' if classes else ""
    return f"<span{attribute}{ground}>{escape(shown_text(one))}</span>{signs}"


def comparison_page(studies: Sequence[str], title: str, note: str = "") -> str:
    """A page of blocks.

    Args:
        studies: Of `compared_block`.
        title: Heading.
        note: A line below it.
    """
    head = [
        f"<h1>{escape(title)}</h1>",
        '<p class="warning">Holds reports, and images if there are any: it is patient data '
        "wherever these are. Not for clinical use.</p>",
        f'<p class="note">{escape(note)}</p>' if note else "",
        f'<p class="note">{escape(LEGEND)}</p>',
    ]
    return page(title, [*filter(None, head), *studies], STYLE)
