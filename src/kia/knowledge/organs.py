"""The organs under which a chest report is read: lungs, pleura, heart and mediastinum, bones …

One place for what belongs where: landmarks of the atlas, the 14 observations, and single words of
findings and anatomy (`organs.yaml`). The choice is ours, after the headings of structured reports;
diaphragm, abdomen, chest wall and neck are other.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from kia.knowledge.atlas.places import LANDMARKS
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.phrases import load_yaml

LUNGS: Final = "lungs"
PLEURA: Final = "pleura"
HEART: Final = "heart and mediastinum"
BONES: Final = "bones"
DEVICES: Final = "devices"
OTHER: Final = "other"

ORGANS: tuple[str, ...] = (LUNGS, PLEURA, HEART, BONES, DEVICES, OTHER)
"""In the order in which a report speaks of them."""

_OF_LANDMARK = {
    "lung": LUNGS,
    "upper lung zone": LUNGS,
    "mid lung zone": LUNGS,
    "lower lung zone": LUNGS,
    "apical zone": LUNGS,
    "costophrenic angle": PLEURA,
    "spine": BONES,
    "clavicle": BONES,
    "hemidiaphragm": OTHER,
    "upper abdomen": OTHER,
    "abdomen": OTHER,
}


def _of_landmark(name: str) -> str:
    return _OF_LANDMARK.get(name.removeprefix("right ").removeprefix("left "), HEART)


LANDMARK_ORGANS: Mapping[str, str] = {name: _of_landmark(name) for name in LANDMARKS}
"""Each of the 34 landmarks → its organ; hila, trachea and great vessels are of the mediastinum."""

OBSERVATION_ORGANS: Mapping[str, str] = dict(
    zip(
        OBSERVATIONS,
        (HEART, HEART, *[LUNGS] * 6, *[PLEURA] * 3, BONES, DEVICES, OTHER),
        strict=True,
    )
)
"""Each of the 14 observations → its organ; No Finding is of none, so other."""


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    return {word: organ for organ, words in table.items() for word in words.split()}


_WORDS = load_yaml("kia.knowledge", "organs.yaml")
_FIXED, _USUAL, _ANATOMY = (
    _by_word(_WORDS[key]) for key in ("finding", "usual finding", "anatomy")
)


def organ_of_anatomy(name: str) -> str | None:
    """The organ of an anatomy such as "costophrenic angle" or "T8"; None if its words tell none.

    Args:
        name: Words of any case; the first one that tells decides.
    """
    return _first(name, _ANATOMY)


def organ_of(finding: str, anatomy: Iterable[str] = ()) -> str:
    """The organ of a finding, by its own words and the anatomy that it is said to lie in.

    An effusion is of the pleura even at the base of a lung, a tube is a device wherever it ends;
    an opacity is of the lungs unless its anatomy says otherwise.

    Args:
        finding: Such as "effusion" or "endotracheal tube"; words of any case, the last one that
            tells decides.
        anatomy: Of the finding, the most telling first.

    Returns:
        One of `ORGANS`; "other" if nothing tells.
    """
    return known_organ(finding, anatomy) or OTHER


def known_organ(finding: str, anatomy: Iterable[str] = ()) -> str | None:
    """The same; None if nothing tells."""
    places = [organ for name in anatomy if (organ := organ_of_anatomy(name))]
    fixed = _first(finding, _FIXED, last=True)
    if fixed and not (fixed == PLEURA and HEART in places and LUNGS not in places):
        return fixed  # but a pericardial effusion is the heart's
    if places:
        return places[0]
    return _first(finding, _USUAL, last=True) or organ_of_anatomy(finding)


def _first(name: str, table: Mapping[str, str], last: bool = False) -> str | None:
    words = name.lower().replace("-", " ").split()
    found = (
        organ for word in (reversed(words) if last else words) if (organ := _known(word, table))
    )
    return next(found, None)


def _known(word: str, table: Mapping[str, str]) -> str | None:
    for form in _singulars(word):
        if form in table:
            return table[form]
    is_level = word[:1] in "tlc" and word[1:].isdigit() and len(word) <= 3
    return BONES if is_level and table is _ANATOMY else None


@lru_cache(maxsize=1 << 14)
def _singulars(word: str) -> tuple[str, ...]:
    """A word and what it may be the plural of."""
    endings = (("ies", "y"), ("es", ""), ("es", "is"), ("s", ""))
    return word, *(word.removesuffix(end) + new for end, new in endings if word.endswith(end))
