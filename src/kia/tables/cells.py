"""What a cell means: missing, an id, a text, a number; whichever program wrote it.

Missing are an empty cell, NaN, and the words of `MISSING` in any case, alone in their cell. A text
that merely holds such a word, or ends it with a full stop ("None."), is a text.
"""

import math
import re
from datetime import date, datetime, time
from typing import Any

CELL_LIMIT = 1 << 20
"""Characters of a cell; longer ones are refused: no report is, and memory is."""

SPREADSHEET_ERRORS = frozenset(
    (
        *("#name?", "#n/a", "#value!", "#ref!", "#div/0!", "#num!", "#null!", "#spill!", "#calc!"),
        *(f"err:{number}" for number in range(501, 541)),  # LibreOffice
    )
)
"""What a spreadsheet writes where a formula failed (also a text that begins with + or -)."""

MISSING = frozenset(("", "nan", "n/a", "na", "null", "none", "<na>", "nat")) | SPREADSHEET_ERRORS
"""Words for a missing value, in lower case."""

MAY_BE_MISSING = frozenset(
    {letter for word in MISSING - {""} for letter in (word[0], word[0].upper())}
    | {chr(code) for code in range(0x3001) if chr(code).isspace()}
)
"""First characters of texts that `is_missing` has to look at: most cells need no more than that."""

_LONGEST = 32  # characters with spaces around; longer texts are not looked up
_NOTHING = frozenset(("",)) | SPREADSHEET_ERRORS
_WHOLE_NUMBER = re.compile(r"([-+]?\d+)[.,]0+")
_EXACT = 2**53  # beyond, a float does not hold every whole number


def is_missing(value: Any, *, prose: bool = False) -> bool:
    """Whether a cell says nothing.

    Args:
        value: Of any type that a table gives.
        prose: Words such as "None" are an answer here (a report's section COMPARISON); only
            empty cells and failed formulas are missing.
    """
    if isinstance(value, str):
        if len(value) > _LONGEST:
            return value.isspace()
        return value.strip().lower() in (_NOTHING if prose else MISSING)
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_of(value: Any) -> str:
    """The text of a cell as a person would write it: dates without midnight, 1.0 as 1."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return str(value)


def identity(value: Any) -> str:
    """An id as text: trimmed, and without the `.0` of programs that take numbers for fractions.

    Raises:
        ValueError: It is a list or an object, or a fraction so long that it lost its last digits.
    """
    if isinstance(value, (bool, list, tuple, dict)):
        raise ValueError("an id is a text or a whole number")
    if isinstance(value, float) and abs(value) >= _EXACT:
        raise ValueError("the id is a number that has lost its last digits; save ids as text")
    text = text_of(value).strip()
    whole = _WHOLE_NUMBER.fullmatch(text) if text.endswith("0") else None
    return whole[1] if whole else text


def number(value: Any) -> float:
    """A number, also with a decimal comma.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, str):
        value = value.strip().replace("−", "-")
        if "," in value and "." not in value:
            value = value.replace(",", ".", 1)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not a number")
    return float(value)
