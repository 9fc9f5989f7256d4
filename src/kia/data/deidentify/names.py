"""Names of people: where a title, a role, a verb or a list of given names says that one follows.

A capitalised word alone is no name: reports are full of eponyms, headings and acronyms.
"""

import re
from collections.abc import Iterator

from kia.data.deidentify.person import Trust, eponyms_in, is_name, name_end
from kia.data.deidentify.spans import Personal, matches
from kia.data.deidentify.vocabulary import vocabulary

_PEOPLE = (
    r"radiologist|physician|doctor|provider|surgeon|resident|attending|fellow|intern|consultant"
    r"|technologist|technician|tech|radiographer|sonographer|nurse|practitioner|transcriptionist"
    r"|hospitalist|oncologist|cardiologist|pulmonologist|pediatrician|neurologist|pathologist"
)
_FAMILY = (
    "wife|husband|daughter|son|mother|father|sister|brother|spouse|partner|aunt|uncle|niece|nephew"
    "|grandmother|grandfather|grandson|granddaughter|cousin|caregiver|guardian|neighbou?r|friend"
)
_DONE = (
    "signed|read|reviewed|interpreted|dictated|transcribed|typed|approved|verified|performed"
    "|ordered|requested|attested|reported|received|prepared|entered|authenticated|supervised"
    "|acknowledged|finali[sz]ed|referred|seen|accompanied"
)
_HOW = (
    r"(?:\s+(?:directly|verbally|personally|over the (?:phone|telephone)|by (?:phone|telephone)))?"
)
_ROLE = rf"(?:\s+(?:the|our|an?))?(?:\s+(?:[a-z]+\s+)?(?:{_PEOPLE})s?,?)?"

_TITLE = re.compile(r"\b(?:D[Rr]s?|Mrs?|Ms|Mx|Messrs|Prof)\b(?:\.\s*|\s+)(?=[^\W\d_])")
_LOUD_TITLE = re.compile(r"\b(?:MRS?|MS|PROF)\b\.?\s+(?=[A-Z])")
_LOW_TITLE = re.compile(r"\b(?:drs?|mrs|prof)\.\s+(?P<x>[^\W\d_]+(?:['’-][^\W\d_]+)*)")
_LONG_TITLE = re.compile(r"\b(?:Miss|Professor|Doctor|Nurse|Reverend|Sir|Madam)\s+")
_LABEL = re.compile(
    r"\b(?:(?:patient|pt|first|last|family|given|maiden|middle|full)(?:'s)?\s+names?|names?"
    r"|name of (?:the )?patient"
    rf"|(?:[a-z]+\s+)?(?:{_PEOPLE})s?(?:\s+(?:{_PEOPLE}))?(?:\s+name)?"
    rf"|(?:electronically\s+)?(?:{_DONE})(?:\s+(?:and|/)\s+(?:{_DONE}))?\s+by|attn|attention|cc"
    r"|next of kin|emergency contact|copy to|(?:patient|pt)(?=\s*:\s*[^\W\d_]+,\s?[A-Z]))\s*:\s*",
    re.IGNORECASE,
)
_LEAD_IN = re.compile(
    r"\b(?:(?:discussed|reviewed|communicated|spoke|spoken|shared|conferred|confirmed|conversed)"
    rf"{_HOW}\s+with|(?:communicated|called|relayed|reported|given|phoned|telephoned|conveyed"
    rf"|provided|paged|faxed|sent|transmitted|known|copied|addressed){_HOW}\s+to"
    r"|notified|informed|told|alerted|notifying|informing|updated|advised"
    rf"|(?:{_DONE})(?:\s+(?:and|/)\s+(?:{_DONE}))?(?:\s+on)?(?:\s+[\d/:.-]{{3,20}}){{0,2}}\s+by"
    r"|attn|attention|next of kin"
    rf"|known as|named|on behalf of|care of){_ROLE}\s+",
    re.IGNORECASE,
)
_PERSON = re.compile(rf"\b(?:{_PEOPLE}),?\s+", re.IGNORECASE)
_RELATIVE = re.compile(rf"\b(?:{_FAMILY})(?:,|\s+named|\s+is|\s*\()?\s*(?<=[\s(])", re.IGNORECASE)
_PATIENT = re.compile(r"\b(?:[Pp]atient|PATIENT|[Pp]t\.?|for|on)(?:\s*:)?\s+")
_CREDENTIALS = re.compile(
    r"(?<=[\w.]),?\s{1,4}(?:M\.?D\b|Ph\.?D\b|D\.O\.|R\.?N\b|N\.?P\b(?!O)|PA-C\b|P\.A\.|APRN\b|CRNP\b|LPN\b|MBBS\b"
    r"|FRCR\b|FACR\b|DNP\b|R\.?T\.?\s?\(R\)|RRT\b)"
)
_BACKWARD = re.compile(
    r"(?:[^\W\d_](?:[^\W\d_]|['’-](?=[^\W\d_]))*\.?\s+){0,4}[^\W\d_][^\W\d_'’-]*$"
)
_CAPITALISED = re.compile(r"\b[A-Z][^\W\d_]+(?:['’-][^\W\d_]+)*")
_GIVEN_NAME = re.compile(r",\s?([A-Z][^\W\d_]+)(?:\s[A-Z]\b)?")
_AND = re.compile(r"\s*(?:/|&|,?\s+and|,?\s+(?:M\.?D|D\.?O)\.?,)\s*(?=[A-Z])")
_DICOM = re.compile(r"(?<!\w)[^\W\d_][^\W\d_'’-]*\^[^\W\d_][^\W_^]*(?:\^[^\W_^]*){0,3}")


def find_names(text: str) -> Iterator[Personal]:
    """Names of patients, their families and staff."""
    for pattern, trust in ((_TITLE, Trust.TITLE), (_LABEL, Trust.LABEL)):
        for match in pattern.finditer(text):
            yield from _names_at(text, match.end(), trust)
    yield from matches(_DICOM, text, "name")
    yield from _lower_case(text)
    eponyms = eponyms_in(text)
    for piece in _likely(text):
        if not any(start <= piece.start < end for start, end in eponyms):
            yield piece


def _likely(text: str) -> Iterator[Personal]:
    """Names, if they are no part of an eponym."""
    for pattern, trust in (
        (_LOUD_TITLE, Trust.KNOWN),
        (_LONG_TITLE, Trust.WEAK),
        (_LEAD_IN, Trust.WEAK),
        (_PERSON, Trust.WEAK),
        (_RELATIVE, Trust.WEAK),
        (_PATIENT, Trust.KNOWN),
    ):
        for match in pattern.finditer(text):
            yield from _names_at(text, match.end(), trust)
    yield from _before_credentials(text)
    yield from _of_lists(text)


def _names_at(text: str, start: int, trust: Trust) -> Iterator[Personal]:
    """The name at a place, and those that "and" joins to it."""
    end = name_end(text, start, trust)
    while end > start:
        yield Personal(start, end, "name")
        joined = _AND.match(text, end)
        if joined is None:
            return
        start = joined.end()
        end = name_end(text, start, Trust.WEAK)


def _lower_case(text: str) -> Iterator[Personal]:
    """Names after a title in texts without capitals: one word."""
    for match in _LOW_TITLE.finditer(text):
        word = match["x"].lower()
        known = word in vocabulary().surnames
        if match["x"][0].islower() and (
            (known and word not in vocabulary().roles) or not vocabulary().is_ordinary(word)
        ):
            end = match.end() - (2 if word.endswith(("'s", "’s")) else 0)
            yield Personal(match.start("x"), end, "name")


def _before_credentials(text: str) -> Iterator[Personal]:
    """ "Kevin Barlow, RN": the longest run of names that ends before the credentials."""
    for match in _CREDENTIALS.finditer(text):
        before = _BACKWARD.search(text, max(0, match.start() - 80), match.start())
        if before is None:
            continue
        for word in re.finditer(r"\S+", before[0]):
            start = before.start() + word.start()
            if name_end(text, start, Trust.WEAK) == match.start():
                yield Personal(start, match.start(), "name")
                break


def _of_lists(text: str) -> Iterator[Personal]:
    """ "John Carmichael" and "Smith, Margaret": a frequent given name beside another name."""
    for match in _CAPITALISED.finditer(text):
        word = match[0].lower()
        if word in vocabulary().given:
            end = name_end(text, match.start(), Trust.GIVEN)
            if end > match.end():
                yield Personal(match.start(), end, "name")
        elif is_name(match[0], Trust.WEAK):
            given = _GIVEN_NAME.match(text, match.end())
            if given and given[1].lower() in vocabulary().given:
                yield Personal(match.start(), given.end(), "name")
