"""Penn Treebank tokens: what the automaton finds in a text, written as the treebank writes it."""

import re
from collections.abc import Callable, Iterator, Sequence

from kia.evaluation.language.ptb.automaton import automaton

PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
"""What coco-caption leaves out; its brackets are upper-case, so those of lower-case texts stay."""

_START = 2  # of three ways to begin: that of a text in the treebank's usual form
_ENDS, _MUST_END = 1, 8
_SOFT_HYPHEN, _NO_BREAK_SPACE = "\u00ad", "\u00a0"
_AMPERSAND = re.compile("&amp;", re.IGNORECASE)
_FRACTIONS = str.maketrans({"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"})
_CURRENCIES = str.maketrans({"¢": "cents", "£": "#", **dict.fromkeys("\x80¤\u20a0\u20ac", "$")})
_SINGLE, _DOUBLE = re.compile("&apos;|'"), re.compile('"|&quot;')
_DIRECTED = str.maketrans(
    {
        **dict.fromkeys("\x91‘‛‹", "`"),
        **dict.fromkeys("\x92’›", "'"),
        **dict.fromkeys("\x93“«", "``"),
        **dict.fromkeys("\x94”»", "''"),
    }
)
_TRAILING_SPACE = " \t\n\v\f\r\x85"


def _without_soft_hyphens(token: str) -> str:
    return token if _SOFT_HYPHEN not in token else token.replace(_SOFT_HYPHEN, "") or "-"


def _quote(token: str, opens: bool) -> str:
    token = _SINGLE.sub("`" if opens else "'", token)
    return _DOUBLE.sub("``" if opens else "''", token).translate(_DIRECTED)


def _opening(token: str) -> str:
    return _quote(token, opens=True)


def _closing(token: str) -> str:
    return _quote(token, opens=False)


def _dashes(token: str) -> str:
    return "--" if 3 <= len(token) <= 4 else token


def _brackets(token: str) -> str:
    return token.replace("(", "-LRB-").replace(")", "-RRB-")


def _ampersand(token: str) -> str:
    return _AMPERSAND.sub("&", token)


def _spaced(token: str) -> str:
    return token.replace(" ", _NO_BREAK_SPACE)


def _spaced_brackets(token: str) -> str:
    return _brackets(_spaced(token))


def _always(text: str) -> Callable[[str], str]:
    return lambda _: text


_WRITTEN: dict[int, Callable[[str], str]] = {
    **{2: _always("<"), 10: _always(">"), 11: _always("--"), 13: _always("...")},
    **{16: _always("-RCB-"), 17: _always("-LRB-"), 18: _always("-RRB-")},
    **{20: _always("-LCB-"), 21: _always("-RSB-"), 22: _always("-LSB-")},
    **dict.fromkeys((6, 12, 29, 30, 32, 40, 46), _without_soft_hyphens),
    **dict.fromkeys((26, 35), _opening),
    **dict.fromkeys((8, 36), _closing),
    **dict.fromkeys((27, 38, 39), _spaced),
    **dict.fromkeys((28, 34), _brackets),
    **dict.fromkeys((37, 51), _ampersand),
    **{4: _dashes, 14: lambda token: token.translate(_FRACTIONS)},
    **{15: lambda token: token.translate(_CURRENCIES), 54: _spaced_brackets},
}
"""What an action of the automaton writes for the text it found; the others write it as it is."""

_SKIPPED = frozenset({1, 5, 7, 23})  # what is no token, line ends, white space
_GIVEN_BACK = {25: 1, 26: 1, 32: 1, 34: 1, 36: 1, 46: 1, 51: 1, 42: 2, 48: 2, 50: 3, 53: 4}
"""Characters at the end that belong to the next token."""
_FULL_STOP_AGAIN = frozenset({33, 47, 49})  # an abbreviation's full stop also ends the sentence
_LOOKAHEAD = {30: (3, 4), 40: (5, 6), 47: (7, 8), 44: (9, 10), 49: (11, 12), 24: (13, 14),
              43: (15, 14), 41: (16, 17)}  # fmt: skip
"""Action → start states for its text, read forwards, and for what must follow, read backwards."""


class Tokenizer:
    """Finds tokens with the automaton of the jar; see `automaton` for the errors."""

    def __init__(self) -> None:
        tables = automaton()
        self._classes = tables["classes"]
        self._rows, self._next = tables["rows"].data, tables["next"].data
        self._actions, self._flags = tables["actions"].data, tables["flags"].data

    def tokens(self, text: str) -> Iterator[str]:
        """The tokens of one line of text, in their own case."""
        units = _utf16(text + "\n")
        classes = self._classes[list(map(ord, units))].tolist()
        at = 0
        while at < len(units):
            end, action = self._longest(classes, at)
            if action in _SKIPPED:
                at = end
                continue
            if action in _LOOKAHEAD:
                end = self._before_lookahead(classes, at, end, *_LOOKAHEAD[action])
            written, end = _token(units[at:end], at, end, action)
            yield written
            at = end

    def _longest(self, classes: Sequence[int], at: int) -> tuple[int, int]:
        """End and action of the longest match."""
        rows, following, flags = self._rows, self._next, self._flags
        state, end, last = _START, at + 1, -1
        for place in range(at, len(classes)):
            state = following[rows[state] + classes[place]]
            if state < 0:
                break
            if flag := flags[state]:
                if flag & _ENDS:
                    end, last = place + 1, state
                if flag & _MUST_END and flag & _ENDS:
                    break
        return end, self._actions[last] if last >= 0 else 1

    def _before_lookahead(
        self, classes: Sequence[int], at: int, end: int, forward: int, backward: int
    ) -> int:
        """Where a match ends without the context that its rule asks for behind it."""
        rows, following, flags = self._rows, self._next, self._flags
        ends, state = set(), forward
        for place in range(at, end):
            if flags[state] & _ENDS:
                ends.add(place)
            state = following[rows[state] + classes[place]]
            if state < 0:
                break
        else:
            if flags[state] & _ENDS:
                ends.add(end)
        state, place = backward, end
        while not (place in ends and flags[state] & _ENDS):
            place -= 1
            state = following[rows[state] + classes[place]]
        return place


def _token(found: str, at: int, end: int, action: int) -> tuple[str, int]:
    """What is written for a match, and where the next one begins."""
    if action == 35:  # a quotation mark before a word: the word comes next
        found, end = found[:1], at + 1
    if action in (44, 47):
        found = found.rstrip(_TRAILING_SPACE)
        end = at + len(found)
    if action in _FULL_STOP_AGAIN:
        written = found[:1] if action == 47 and len(found) == 2 else found
        return _utf8(written), end - 1
    if back := _GIVEN_BACK.get(action, 0):
        found, end = found[:-back], end - back
    write = _WRITTEN.get(action)
    return _utf8(found if write is None else write(found)), end


def _utf16(text: str) -> str:
    """A text as Java counts it: characters beyond 16 bits are two."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    pairs = text.encode("utf-16-le", "surrogatepass")
    return "".join(map(chr, memoryview(pairs).cast("H")))


def _utf8(text: str) -> str:
    """A text as Java writes it: two halves are one character, half of one is a question mark."""
    if text.isascii() or not any("\ud800" <= unit <= "\udfff" for unit in text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return whole.encode("utf-8", "replace").decode("utf-8")


class PTBTokenizer:
    """Penn Treebank tokens, lower-case, without punctuation, as coco-caption scores them.

    Each text is read by itself; tokenised texts are remembered.

    Raises:
        MissingDependency: pycocoevalcap is not installed.
        DataError: Its jar is not the one that is known.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}
        self._tokenizer: Tokenizer | None = None

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Tokens of each text, joined by single spaces."""
        return [self._known(text) for text in texts]

    def _known(self, text: str) -> str:
        if (known := self._tokens.get(text)) is None:
            if self._tokenizer is None:
                self._tokenizer = Tokenizer()
            line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")
            lower = " ".join(self._tokenizer.tokens(line)).lower()
            known = " ".join(word for word in lower.split() if word not in PUNCTUATION)
            self._tokens[text] = known
        return known
