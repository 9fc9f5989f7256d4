"""The English stemmer of Snowball ("Porter2") as it was when METEOR 1.5 was made.

Source: https://snowballstem.org/algorithms/english/stemmer.html, without what version 3 changed.
"""

import re

_VOWELS = frozenset("aeiouy")
_NO_SHORT_END = _VOWELS | frozenset("wxY")
_BEFORE_LI = frozenset("cdeghkmnrt")
_DOUBLES = {letter * 2 for letter in "bdfgmnprt"}
_WHOLE = {
    **{"skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie"},
    **{"idly": "idl", "gently": "gentl", "ugly": "ugli", "early": "earli", "only": "onli"},
    **{"singly": "singl"},
    **{word: word for word in ["sky", "news", "howe", "atlas", "cosmos", "bias", "andes"]},
}
_KEPT = {"inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed"}
_CONSONANT_Y = re.compile("([aeiouy])y")
_LONG_PREFIX = re.compile("gener|commun|arsen")
_REGION = re.compile("[aeiouy][^aeiouy]")


def _longest_first(text: str) -> dict[str, str]:
    pairs = (entry.partition("=")[::2] for entry in text.split())
    return dict(sorted(pairs, key=lambda pair: -len(pair[0])))


_STEP_2 = _longest_first(
    "tional=tion enci=ence anci=ance abli=able entli=ent izer=ize ization=ize ational=ate "
    "ation=ate ator=ate alism=al aliti=al alli=al fulness=ful ousli=ous ousness=ous iveness=ive "
    "iviti=ive biliti=ble bli=ble ogi=og fulli=ful lessli=less li="
)
_STEP_3 = _longest_first(
    "tional=tion ational=ate alize=al icate=ic iciti=ic ical=ic ful= ness= ative="
)
_STEP_4 = _longest_first(
    "al= ance= ence= er= ic= able= ible= ant= ement= ment= ent= ism= ate= iti= ous= ive= ize= ion="
)


def stem(word: str) -> str:
    """The stem of a lower-case word."""
    if word in _WHOLE:
        return _WHOLE[word]
    if len(word) + sum(character > "\uffff" for character in word) < 3:  # as Java counts
        return word
    word = word.removeprefix("'")
    if word.startswith("y"):
        word = "Y" + word[1:]
    word = _CONSONANT_Y.sub(r"\1Y", word)
    first, second = _regions(word)
    word = _plural(word)
    if word not in _KEPT:
        word = _past(word, first)
        if word[-1:] in ("y", "Y") and len(word) > 2 and word[-2] not in _VOWELS:
            word = word[:-1] + "i"
        word = _step_2(word, first)
        word = _step_3(word, first, second)
        word = _step_4(word, second)
        word = _final(word, first, second)
    return word.replace("Y", "y")


def _regions(word: str) -> tuple[int, int]:
    """Where R1 and R2 begin: behind the first consonant that follows a vowel, and once again."""
    found = _LONG_PREFIX.match(word) or _REGION.search(word)
    if not found:
        return len(word), len(word)
    again = _REGION.search(word, found.end())
    return found.end(), again.end() if again else len(word)


def _plural(word: str) -> str:
    for ending in ("'s'", "'s", "'"):
        if word.endswith(ending):
            word = word.removesuffix(ending)
            break
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and _has_vowel(word[:-2]):
        return word[:-1]
    return word


def _past(word: str, first: int) -> str:
    for ending in ("eedly", "ingly", "edly", "eed", "ing", "ed"):
        if word.endswith(ending):
            break
    else:
        return word
    rest = word.removesuffix(ending)
    if ending in ("eed", "eedly"):
        return rest + "ee" if len(rest) >= first else word
    if not _has_vowel(rest):
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if rest[-2:] in _DOUBLES:
        return rest[:-1]
    return rest + "e" if len(rest) == first and _ends_short(rest) else rest


def _ending(word: str, endings: dict[str, str], region: int) -> tuple[str, str] | None:
    """What stands before the longest ending, and the ending, if it lies in the region."""
    for ending in endings:
        if word.endswith(ending):
            rest = word.removesuffix(ending)
            return (rest, ending) if len(rest) >= region else None
    return None


def _step_2(word: str, first: int) -> str:
    if not (found := _ending(word, _STEP_2, first)):
        return word
    rest, ending = found
    if (ending == "ogi" and rest[-1:] != "l") or (ending == "li" and rest[-1:] not in _BEFORE_LI):
        return word
    return rest + _STEP_2[ending]


def _step_3(word: str, first: int, second: int) -> str:
    if not (found := _ending(word, _STEP_3, first)):
        return word
    rest, ending = found
    return word if ending == "ative" and len(rest) < second else rest + _STEP_3[ending]


def _step_4(word: str, second: int) -> str:
    if not (found := _ending(word, _STEP_4, second)):
        return word
    rest, ending = found
    return word if ending == "ion" and rest[-1:] not in ("s", "t") else rest


def _final(word: str, first: int, second: int) -> str:
    rest = word[:-1]
    if word.endswith("e"):
        long_enough = len(rest) >= second or (len(rest) >= first and not _ends_short(rest))
        return rest if long_enough else word
    return rest if word.endswith("ll") and len(rest) >= second else word


def _has_vowel(text: str) -> bool:
    return not _VOWELS.isdisjoint(text)


def _ends_short(text: str) -> bool:
    """Whether it ends in a short syllable."""
    if len(text) == 2:
        return text[0] in _VOWELS and text[1] not in _VOWELS
    return (
        len(text) > 2
        and text[-1] not in _NO_SHORT_END
        and text[-2] in _VOWELS
        and text[-3] not in _VOWELS
    )
