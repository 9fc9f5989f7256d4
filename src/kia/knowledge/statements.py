"""A report cut into statements: what no negation, doubt or list reaches across.

Full stops, semicolons, blank lines, bullets, numbers, `<br>`, `|`, tabs, `//` and arrows end one;
so does a line break where the line was not only wrapped. An answer ("Effusion? No.") stays with
what it answers.
"""

import re

from kia.knowledge.scope import single_words

_LONG_LINE = 50
"""Characters from which a line without a full stop may be one that was wrapped, where the case of
the next one says nothing: reports all in capitals, all in lower case."""
_BACK = 60  # characters before a colon in which its heading begins
_LONGEST_ANSWER = 40

_OPENING = "|".join(sorted(single_words("opening") | {"no", "there"}))

# The first character is one of a few, so that most of a text is skipped.
_MARK = re.compile(
    r"[.!?;\n\r\v\f\u2028\t|</([#=→\-–—•*:)\d](?:"
    r"(?:(?<=[.!])(?<!\b[Vv][Ss]\.)|(?<=\w\?))(?P<stop>[\s\0-\x1f\x7f]+)"
    r"|(?:(?<=[a-z]\.)(?=[A-Z])|(?<=\w\.)(?=[A-Z][a-z])|(?<=;)|(?<=[a-z]{3}\.)(?=[a-z]{2}))(?P<glued>)"
    r"|(?<=[\n\r\v\f\u2028])(?P<line>\s*)"
    r"|(?<=[\t|])(?P<cell>[\s|]*)"
    r"|(?<=<)(?P<tag>(?i:/?(?:br|p|li|ul|ol|div|tr|td)\s*/?>(?:\s*</?\w{1,3}\s*/?>)*)\s*)"
    r"|(?<!:/)(?<=/)(?P<slashes>/+\s*)"
    r"|(?<=[(\[])(?P<bracket>(?:\d{1,2}|[a-h]|i{1,3}|iv|v)[)\]]\s)"
    r"|(?<=#)(?P<hash>\d{1,2}\s)"
    r"|(?:(?<=^[a-h]\))|(?<=\s[a-h]\)))(?P<letter>\s)"
    r"|(?:(?<=→)|(?<=[=-])>)(?P<arrow>\s*)"
    r"|(?:(?<=\s[•*])|(?<=^[•*]))(?P<bullet>\s+)"
    r"|(?:(?<=\s[-–—/])|(?<=\s--))(?P<dash>\s+)(?=(?i:" + _OPENING + r")\b)"
    r"|(?<=:)(?P<colon>)"
    r"|(?:(?<=^\d)|(?<=\s\d))(?P<number>\d?[.):](?=\s))"
    r")"
)
_STARTS_ITEM = re.compile(r"[-•*]\s|\d{1,2}[.):]\s|\(\w{1,3}\)\s|[A-Z][A-Za-z /]*:|[•*]")
_BLANK = re.compile(r"\n[ \t\r]*\n|\r[ \t]*\r(?!\n)")
_GOES_ON = re.compile(
    r"(?:[,/&-]|(?<!\w)(?:and|or|nor|of|in|the|an?|with|without|no|to|for|at|on|by|from|is|are|was"
    r"|were|be|been|has|have|had|not|any|but|than|since|which|that|this|its|as|into|over|may"
    r"|suggests?|suggesting|representing|shows?|demonstrates?|acute|focal|upper|lower|definite"
    r"|evidence|pleural))$",
    re.IGNORECASE,
)
_CONNECTIVE = re.compile(
    r"(?:and|or|nor|of|in|with|without|to|for|at|on|by|from|is|are|was|were|has|have|but|than|since"
    r"|which|that|as|into|over|may|not)\b",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\W*(?:no|none|nil|yes|neg|negative|pos|positive|absent|present|not (?:seen|present|identified"
    r"|visualized|evident|detected)|none (?:seen|identified|present)|\+|-"
    r"|no evidence(?: of (?:this|it))?)\W*",
    re.IGNORECASE,
)
_ANSWERED = re.compile(r"(?:^|[:?=|\t-]|\s{2})\s*(?:no|not)$", re.IGNORECASE)
_ACRONYM = re.compile(r"[A-Z](?:[A-Z]|\b)")
_HEADING = re.compile(
    r"(?<=[a-z]) ([A-Z][a-z]+(?: [a-z]+){0,2})\s?$"
    r"|\b(?:no|none|nil|yes|negative|positive|absent|present)[,;]? "
    r"([A-Za-z][a-z]+(?: [a-z]+){0,2})$"
)

Span = tuple[int, int]


def statements(text: str) -> list[Span]:
    """Start and end (exclusive) of each statement, in order; marks between them are in none."""
    found: list[Span] = []
    case_tells = not (text.isupper() or text.islower())
    start = 0
    for mark in _MARK.finditer(text):
        end, after = _cut(text, mark, start, case_tells)
        if end < 0 or after < start:
            continue
        _keep(found, text, start, end)
        start = after
    _keep(found, text, start, len(text))
    return found


def _cut(text: str, mark: re.Match[str], start: int, case_tells: bool) -> Span:
    """Where a statement ends at a mark and the next one begins; (−1, 0) if none does."""
    kind = mark.lastgroup
    if kind in ("line", "tag") and not _line_ends(text, start, mark, case_tells):
        return -1, 0
    if kind == "colon":
        heading = _HEADING.search(text, max(start, mark.start() - _BACK), mark.start())
        if heading is None:
            return -1, 0
        place = max(heading.start(1), heading.start(2))
        return place, place
    if kind in ("stop", "glued"):
        return mark.start() + 1, mark.end()
    if kind == "letter" or (kind == "dash" and text[mark.start() - 1] == "-"):
        return mark.start() - 1, mark.end()
    if kind == "number":
        return mark.start(), mark.start()
    return mark.start(), mark.end()


def _line_ends(text: str, start: int, mark: re.Match[str], case_tells: bool) -> bool:
    """Whether a line break ends a statement; it does not where a sentence was only wrapped."""
    if _BLANK.search(mark[0]) or mark[0].count("<") > 1:
        return True
    following = mark.end()
    if following == len(text) or _STARTS_ITEM.match(text, following, following + _BACK):
        return True
    first = max(start, text.rfind("\n", start, mark.start()) + 1, mark.start() - 2 * _LONG_LINE)
    line = text[first : mark.start()].rstrip()
    head = text[following]
    end = max(0, len(line) - 20)
    answered = head.isupper() and case_tells and (start or " " in line.strip())
    if answered and _ANSWERED.search(line, end):
        return True
    if not any(map(str.isalpha, line)):
        return False
    if _GOES_ON.search(line, end) or _CONNECTIVE.match(text, following):
        return False
    if not head.isalpha():
        return False
    if not case_tells:
        return len(line) < _LONG_LINE
    if _ACRONYM.match(text, following):  # "NG tube": its capitals say nothing
        return " " in line.strip() and len(line) < _LONG_LINE
    return head.isupper()


def _keep(found: list[Span], text: str, start: int, end: int) -> None:
    """Adds a statement, or an answer to the one before it."""
    if end <= start or text[start:end].isspace():
        return
    answers = found and end - start <= _LONGEST_ANSWER and _ANSWER.fullmatch(text, start, end)
    last = text[max(0, found[-1][1] - 2) : found[-1][1]] if answers else ""
    if answers and (last == ".." or last[-1] not in ".!"):
        found[-1] = (found[-1][0], end)
    else:
        found.append((start, end))
