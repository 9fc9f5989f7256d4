"""What makes the images of a study doubtful, before anyone believes its report."""

from collections.abc import Sequence
from typing import TypedDict

from kia.imaging.plausibility.reference import Reference
from kia.imaging.plausibility.thumbnails import Pixels, thumbnail
from kia.studies import View

LONGEST = 2.5
"""Longer to shorter side; a collimated lateral view has up to 2."""

LEFT_OUT = "left out"
"""Kind of a flag whose message is about another file than its view."""


NO_CHEST = frozenset({"empty", "unlike"})
"""Kinds of flags that say that a picture is probably no chest X-ray, by its looks."""


class Flag(TypedDict):
    """Why the report of a study may not be worth reading.

    Attributes:
        view: Which image of the study, from 0.
        kind: From the file: "colour", "modality", "body part", "grey values", "size", "shape", and
            what its header says otherwise than it is read as: "view", "study", "patient",
            "orientation", "for processing". From the picture: "empty", "unlike", "inverted",
            "rotated", "mirrored", "lateral" or "frontal" (read as the other view), "lateral only".
            "left out" is about another file of the study. From the model's training: "training
            image", and of its report "frequent report".
        message: One sentence; it names neither file nor patient.
    """

    view: int
    kind: str
    message: str


def study_flags(
    squares: Pixels,
    views: Sequence[View],
    reference: Reference | None = None,
    doubts: Sequence[Sequence[tuple[str, str]]] = (),
    shapes: Sequence[Sequence[int]] = (),
    left_out: Sequence[tuple[str, str]] = (),
) -> list[Flag]:
    """What makes the images of a study doubtful, before anyone believes its report.

    `KIAProcessor.checked` does all of it for files.

    Args:
        squares: uint8 (W, S, S), as the model reads them.
        views: What each is read as.
        reference: Of the model; without one nothing is said about what the pictures look like.
        doubts: Kinds and texts of what is odd about each file, as `kia.imaging.reading` finds them.
        shapes: Height and width of each picture before it became square.
        left_out: Names of files of the study that are not read, and why.

    Returns:
        Those of the first image first; [] if nothing is odd.
    """
    odd = [(number, kind, text) for number, one in enumerate(doubts) for kind, text in one]
    for number, shape in enumerate(shapes):
        odd += [(number, kind, text) for kind, text in _of_size(shape, squares.shape[-1])]
    flags = [Flag(view=n, kind=kind, message=f"{t[:1].upper()}{t[1:]}.") for n, kind, t in odd]
    looks: list[View | None] = list(views)
    for number, (square, view) in enumerate(zip(squares, views, strict=True)):
        if reference:
            looks[number], found = reference.judge(thumbnail(square), view)
            flags += [Flag(view=number, kind=k, message=f"This picture {t}.") for k, t in found]
    if set(looks) == {"lateral"}:
        flags = [flag for flag in flags if flag["kind"] != "lateral"]
        read = "is read as" if set(views) == {"lateral"} else "seems to be"
        message = f"This picture {read} a lateral view, and the study has no frontal one."
        flags.append(Flag(view=0, kind="lateral only", message=message))
    flags += [Flag(view=0, kind=LEFT_OUT, message=f"Not read: {n}: {w}.") for n, w in left_out]
    return sorted(flags, key=lambda flag: flag["view"])


def _of_size(shape: Sequence[int], size: int) -> list[tuple[str, str]]:
    """Kinds and texts for a picture that is too small, or too long, to be a chest X-ray."""
    shorter, longer = sorted(shape)
    pixels = f"{shape[1]} × {shape[0]} pixels"
    found = []
    if 2 * shorter < size:
        found.append(("size", f"the picture has only {pixels}; the model reads {size} × {size}"))
    if longer > LONGEST * shorter:
        found.append(("shape", f"the picture has {pixels}; chest X-rays are nearly square"))
    return found
