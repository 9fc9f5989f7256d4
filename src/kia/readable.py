"""Reports as a person reads them: sentence case, normal punctuation, no de-identification marks.

For eyes only: scores are of the raw form. Where a collection blacked out a word, what is left is
mended if the word was an aside; where it carried the meaning, an ellipsis says that something is
missing, because the sentence without it may say something else ("no XXXX effusion").
"""

import re

from kia.evaluation.priors import sentence_spans

NOTICE = "Research only. Not for clinical use."
"""Goes with every generated report."""

MARK = re.compile(
    r"(?:\bx ?- ?)?\w*(?:x{3,}|(?:_\s*){2,}|\[\s*\*\s*\*.*?\*\s*\*\s*\])\w*(?: ?['’] ?\w+)*",
    re.IGNORECASE,
)
"""What stands for a word that was taken out: XXXX (IU X-Ray), ___ and [** … **] (MIMIC)."""

GAP = "…"
"""Where a word was taken out that carried the meaning."""
_SPACING = [  # the decoder puts spaces around every mark of punctuation
    (re.compile(r"(\d) ?\. ?(\d+ ?(?:x|by|cm|mm|-)(?![a-z]))"), r"\1.\2"),
    (re.compile(r"(\d) ?: ?(\d\d)\b"), r"\1:\2"),
    (re.compile(r"([\w…]) ?([-/]) ?(?=[\w…])"), r"\1\2"),
    (re.compile(r"(\w) ?(['’]) ?(s|t|re|ve|ll|d|m)\b"), r"\1\2\3"),
    (re.compile(r" +([.,;:!?%)\]])"), r"\1"),
    (re.compile(r"([(\[]) +"), r"\1"),
    (re.compile(r"\.{2,}"), "."),
    (re.compile(r"…(?:[\s/-]*(?:a-)?…)+"), GAP),
]
_REMAINS = [  # what a missing word leaves behind
    (
        re.compile(
            r"(?<!\bis )(?<!\bare )(?<!\bremain )(?<!\bremains )"
            r"\b(?:from|dated|since|on|in|at) (?:the |an? )?…(?=[.,;]|$)"
        ),
        "",
    ),
    (re.compile(r"[(\[](?:no|not)?\W*[)\]]", re.IGNORECASE), ""),
    (re.compile(r"(^|,)(?:\s*(?:and|or|with|the|an?|of|in|to|…)\b\s*|\s*…)*(?=[,.;]|$)"), r"\1"),
    (re.compile(r"\s+([.,;:)])"), r"\1"),
    (re.compile(r"[,;:](?:\s*[,;:])*(?=\s*(?:[.;]|$))|^[\s,;:]+"), ""),
    (re.compile(r",(?:\s*,)+"), ","),
    (re.compile(r"\s*…\.$"), f" {GAP}"),
    (re.compile(r"\.{2,}"), "."),
    (re.compile(r"\s{2,}"), " "),
]
_NEGATED = re.compile(r"\b(?:no|not|without|negative|never|nor)\b", re.IGNORECASE)
_GAP_BETWEEN = re.compile(
    r"(?:(?<!\S)|(?<=\())(?P<before>(?:there )?(?:\S+ )?)…\s+(?=(?P<after>[\w-]+))", re.IGNORECASE
)
_VERB = "appear appears are be been is remain remains seem seems was were"
_AFTER_NOUN = (  # what may follow a missing noun, beside verbs
    "a about after along also among an and as at before bilaterally but by can cannot clear "
    "consistent could compared demonstrate demonstrated demonstrates due during for from has have "
    "identified if in intact likely may might normal noted of on or otherwise over per present "
    "related represent representing represents secondary seen show shows since so stable status "
    "suggest suggesting suggests than that the then there these this those to today unchanged "
    "under unremarkable up versus visualized when where which while with within without"
)
_BEFORE_CUT = "a an and are at by for from in is no of or the there to was with"
_CAPITALS = (
    "AICD AP AVN CABG CHF COPD CT DISH ECG EKG ETT ICD IJ IV IVC KUB LV MRI NG NGT ORIF PA PICC "
    "PICCs SVC TB TIPS VP X-ray Port-A-Cath Swan-Ganz Mediport Kerley Dobhoff Cobb Hickman"
)
_VERBS = frozenset(_VERB.split())
_NO_NOUN = _VERBS | set(_AFTER_NOUN.split())
_CUT = frozenset(_BEFORE_CUT.split())
_NAMES = {name.lower(): name for name in _CAPITALS.split()}
_WORD = re.compile(r"(?<![\w-])[a-z]+(?:-[a-z]+)*(?!\w)")
_VERTEBRA = re.compile(r"(?<![\w-])[ctl]\d{1,2}(?:-[ctl]?\d{1,2})?(?!\w)")


def readable(report: str) -> str:
    """A report for people.

    Args:
        report: Raw, or as the decoder writes it (lower-case, spaces around punctuation).

    Returns:
        Its sentences, joined by spaces; "" if nothing is left of it.
    """
    spans = sentence_spans(report)
    return " ".join(filter(None, (_sentence(report[start:stop]) for start, stop in spans)))


def _sentence(text: str) -> str:
    text = MARK.sub(GAP, " ".join(text.split()))
    for pattern, replacement in _SPACING:
        text = pattern.sub(replacement, text)
    if GAP in text:
        text = _mended(text)
    return _cased(_ended(text)) if text else ""


def _mended(text: str) -> str:
    """What is left of a sentence with missing words; "" if it says nothing any more."""
    if not _NEGATED.search(text):
        text = _GAP_BETWEEN.sub(_without_aside, text)
    for pattern, replacement in _REMAINS:
        text = pattern.sub(replacement, text)
    words = re.findall(r"[^\W\d_]+", text.lower())
    return text.strip() if set(words) - _NO_NOUN - {"no", "not"} else ""


def _without_aside(gap: re.Match[str]) -> str:
    """Leaves out the gap where an adjective or adverb may have been: before a noun."""
    last = (gap["before"].lower().split() or [""])[-1]
    plural = re.search(r"[^siu]s$", last)
    predicate = last in _VERBS and not gap["before"].lower().startswith("there ")
    after = gap["after"].lower()
    if plural or predicate or after in _NO_NOUN or after.endswith("ly"):
        return gap[0]
    if last in ("a", "an"):
        article = "an" if after[0] in "aeiou" else "a"
        return gap["before"].replace(f"{last} ", f"{article} ")
    return gap["before"]


def _ended(text: str) -> str:
    """With its full stop, or with an ellipsis where the limit of length has cut it."""
    if text[-1:] in (*".!?:", GAP):
        return text
    words = text.rstrip(",;- ").split()
    cut = text[-1] in ",;-" or words[-1].lower() in _CUT
    return " ".join(words) + (f" {GAP}" if cut else ".")


def _cased(text: str) -> str:
    """Sentence case: a text in one case gets its names back, one in two keeps them."""
    if text.isupper() and " " in text:
        text = text.lower()
    if text.islower():
        text = _WORD.sub(lambda word: _NAMES.get(word[0], word[0]), text)
        text = _VERTEBRA.sub(lambda word: word[0].upper(), text)
    return re.sub(r"^([^\w…]*)(\w)", lambda first: first[1] + first[2].upper(), text)
