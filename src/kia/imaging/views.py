"""Frontal or lateral: what collections call their views."""

import re
from collections.abc import Sequence

from kia.studies import StudyImage, View

_FRONTAL = {
    *("frontal", "pa", "ap", "postero-anterior", "antero-posterior"),
    *("posteroanterior", "anteroposterior"),
}
_LATERAL = {"lateral", "ll", "rl", "lat", "llat", "rlat", "swimmers"}

_FRONTAL_WORDS = {"face"}
_LATERAL_WORDS = {"profil", "profile", "seitlich", "seitl", "perfil"}
# of other languages, in descriptions


def view_named(name: str) -> View | None:
    """The view behind a word of a table or of DICOM's View Position (0018,5101).

    Args:
        name: "PA", "AP AXIAL", "LL", "XTABLE LATERAL", "postero-anterior", "Frontal" …

    Returns:
        None for an oblique view (LAO, RPO …) and for what says nothing.
    """
    words = re.findall(r"[a-z-]+", name.lower())
    if words and words[0] in _FRONTAL:  # "AP LLD" is a frontal image of a patient lying down
        return "frontal"
    return "lateral" if _LATERAL & set(words) else None


def view_described(text: str) -> View | None:
    """The view that a free description names, for a guess: "W Chest p.a.", "Thorax seitlich" …

    Returns:
        None where it names neither view, or both, or a patient who lies on a side.
    """
    words = set(re.findall(r"[a-z]+", text.lower().replace(".", "").replace("-", "")))
    if any(word.startswith("decub") for word in words):
        return None
    frontal = bool(words & (_FRONTAL | _FRONTAL_WORDS))
    lateral = bool(words & (_LATERAL | _LATERAL_WORDS))
    return None if frontal == lateral else "frontal" if frontal else "lateral"


def view_at(position: int) -> View:
    """The view of an image of which nothing is known: the first counts as frontal.

    The others count as lateral, where masks are drawn without regard to anatomy.
    """
    return "lateral" if position else "frontal"


def pair_of_views(images: Sequence[StudyImage]) -> tuple[StudyImage, ...]:
    """The first frontal and the first lateral image; without such a pair the first two."""
    frontal = [image for image in images if image.view == "frontal"]
    lateral = [image for image in images if image.view == "lateral"]
    pair = (*frontal[:1], *lateral[:1])
    return pair if len(pair) == 2 else tuple(images[:2])
