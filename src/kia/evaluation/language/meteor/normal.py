"""METEOR's own tokens (``-norm``): punctuation apart, hyphens gone, lower-case."""

import re
from collections.abc import Mapping, Sequence

_LETTERS = (
    "A-Za-z\u0160\u017d\u0161\u017e\u0178\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e\u0400-\u04ff"
    "\u0500-\u0527\ua640-\ua66e\ua67e-\ua697\u1d00-\u1d7f"
)
_WORD = f"0-9{_LETTERS}"
_SYMBOL = re.compile(rf"([^{_WORD} \t\n\v\f\r.'`,\-‘’])")
_SEVERAL_DOTS = re.compile(r"\.(\.+)")
_DOTS_THEN = re.compile(r"DOTMULTI\.([^.])")
_COMMAS = [re.compile(p) for p in ("([^0-9]),([^0-9])", "([0-9]),([^0-9])", "([^0-9]),([0-9])")]
_SINGLE_QUOTE, _DOUBLE_QUOTE = re.compile("[`‘’]"), re.compile("[“”]|''")
_HYPHEN = re.compile(rf"([{_WORD}.])-([{_WORD}])")
_APOSTROPHES = [
    (re.compile(rf"([^{_LETTERS}])'([^{_LETTERS}])"), r"\1 ' \2"),
    (re.compile(rf"([^{_LETTERS}0-9])'([{_LETTERS}])"), r"\1 ' \2"),
    (re.compile(rf"([{_LETTERS}])'([^{_LETTERS}])"), r"\1 ' \2"),
    (re.compile(rf"([{_LETTERS}])'([{_LETTERS}])"), r"\1 '\2"),
    (re.compile(r"([0-9])'(s)"), r"\1 '\2"),
]
_LETTER, _LOWER, _NUMBER = re.compile(f"[{_LETTERS}]"), re.compile("[a-z]"), re.compile("[0-9]")
_BLANKS = re.compile("[ \u2000-\u200a\u202f\u205f\u3000\u00a0]+")
_WORD_STOP = re.compile(r"[^ \t\n\r\f]\.(?:[ \t\n\r\f]|$)")
_TOKEN = re.compile("[^ \t\n\r\f]+")
_TRIMMED = "".join(map(chr, range(0x21)))

ANYWHERE, BEFORE_NUMBERS = 1, 2
"""Where the full stop of an abbreviation does not end a sentence."""


def abbreviations(text: str) -> dict[str, int]:
    """Abbreviation → where its full stop stays, from METEOR's list of them."""
    found = {}
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word and not word.startswith("#"):
            numbers = rest[:1] == ["#NUMERIC_ONLY#"]
            found[word] = BEFORE_NUMBERS if numbers else ANYWHERE
    return found


def words(text: str, known: Mapping[str, int]) -> list[str]:
    """METEOR's tokens of a text.

    Args:
        text: One line.
        known: From `abbreviations`.
    """
    text = _apart(f" {text} ")
    if _WORD_STOP.search(text):
        tokens = _TOKEN.findall(text)
        text = " ".join(_full_stop(tokens, at, known) for at in range(len(tokens)))
    if "DOTMULTI" in text:
        while "DOTDOTMULTI" in text:
            text = text.replace("DOTDOTMULTI", "DOTMULTI.")
        text = text.replace("DOTMULTI", ".")
    text = _BLANKS.sub(" ", text).strip(_TRIMMED).lower()
    return _TOKEN.findall(text)


def _apart(text: str) -> str:
    """A text with its punctuation apart; each rule is tried where it can find something."""
    text = _SYMBOL.sub(r" \1 ", text)
    if ".." in text or "DOTMULTI" in text:
        text = _SEVERAL_DOTS.sub(r" DOTMULTI\1", text)
        while "DOTMULTI." in text:
            text = _DOTS_THEN.sub(r"DOTDOTMULTI \1", text)
            text = text.replace("DOTMULTI.", "DOTDOTMULTI")
    if "," in text:
        for comma in _COMMAS:
            text = comma.sub(r"\1 , \2", text)
    text = _DOUBLE_QUOTE.sub(' " ', _SINGLE_QUOTE.sub("'", text))
    if "-" in text or "–" in text:
        text = text.replace("–", "-").replace("--", "-")
        text = _HYPHEN.sub(r"\1 \2", text)
    if "'" in text:
        for apostrophe, parts in _APOSTROPHES:
            text = apostrophe.sub(parts, text)
    return text


def _full_stop(tokens: Sequence[str], at: int, known: Mapping[str, int]) -> str:
    """A token, its full stop apart unless it belongs to the word."""
    token = tokens[at]
    if len(token) < 2 or not token.endswith("."):
        return token
    word, behind = token[:-1], tokens[at + 1] if at + 1 < len(tokens) else ""
    if "." in word and _LETTER.search(word):
        return token.replace(".", "")
    where = known.get(word)
    if where == ANYWHERE or _LOWER.match(behind):
        return token
    if where == BEFORE_NUMBERS and _NUMBER.match(behind):
        return token
    return f"{word} ."
