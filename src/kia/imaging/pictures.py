"""The images of a study as a model reads them, and what is known and odd about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kia.imaging.facts import Facts, shown
from kia.imaging.grey import Doubt
from kia.imaging.one_study import LeftOut, OneStudy
from kia.imaging.plausibility import Flag, Reference, study_flags
from kia.imaging.workers import LoadedStudy
from kia.studies import StudyImage, View


def read_record(
    images: Sequence[StudyImage], facts: Sequence[Facts], flags: Sequence[Flag]
) -> dict[str, Any]:
    """`images`, `views`, `facts` and `flags` of a study in JSON."""
    return {
        "images": [image.path for image in images],
        "views": [image.view for image in images],
        "facts": [shown(image, one) for image, one in zip(images, facts, strict=True)],
        "flags": list(flags),
    }


@dataclass(frozen=True, slots=True)
class Pictures:
    """The images of a study as a model reads them, wherever they come from.

    Attributes:
        squares: uint8 (W, S, S).
        images: W names and views.
        facts: What each file says.
        flags: Why a report may not be worth reading; [] if nothing is odd.
        places: Which of the images that were given are read, from 0.
    """

    squares: npt.NDArray[np.uint8]
    images: tuple[StudyImage, ...]
    facts: tuple[Facts, ...]
    flags: list[Flag]
    places: tuple[int, ...]

    @property
    def views(self) -> tuple[View, ...]:
        """Of the images."""
        return tuple(image.view for image in self.images)

    @property
    def names(self) -> list[str]:
        """Of the images."""
        return [image.path for image in self.images]

    def to_record(self) -> dict[str, Any]:
        """`images`, `views`, `facts` and `flags` in JSON."""
        return read_record(self.images, self.facts, self.flags)

    @classmethod
    def of(
        cls,
        study: OneStudy,
        squares: npt.NDArray[np.uint8],
        doubts: Sequence[Sequence[Doubt]],
        shapes: Sequence[Sequence[int]],
        reference: Reference | None,
    ) -> Self:
        """Of images that are one study because someone says so.

        Args:
            study: Of W images.
            squares: uint8 (W, S, S).
            doubts: What decoding found odd about each.
            shapes: Height and width of each before it became square.
            reference: What the training images of the model look like.
        """
        odd = [(*own, *more) for own, more in zip(doubts, study.doubts, strict=True)]
        told = (study.images, study.facts, study.places, study.left_out)
        return cls._judged(squares, *told, odd, shapes, reference)

    @classmethod
    def of_loaded(cls, one: LoadedStudy, reference: Reference | None) -> Self:
        """Of a study that was decoded in a process, all of its images."""
        assert one.pixels is not None
        images, places = one.study.images, tuple(range(len(one.study.images)))
        told = (images, one.facts, places, one.study.left_out)
        return cls._judged(one.pixels, *told, one.found, one.shapes, reference)

    @classmethod
    def _judged(
        cls,
        squares: npt.NDArray[np.uint8],
        images: tuple[StudyImage, ...],
        facts: tuple[Facts, ...],
        places: tuple[int, ...],
        left_out: Sequence[LeftOut],
        doubts: Sequence[Sequence[Doubt]],
        shapes: Sequence[Sequence[int]],
        reference: Reference | None,
    ) -> Self:
        views = [image.view for image in images]
        flags = study_flags(squares, views, reference, doubts, shapes, left_out)
        return cls(squares, images, facts, flags, places)
