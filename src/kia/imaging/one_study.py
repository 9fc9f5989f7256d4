"""Images that are one study because someone says so: told by --study, a request, or a caller."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kia.errors import ImageError
from kia.imaging.facts import Facts, doubts_among, placed, refuse_two_patients
from kia.imaging.grey import Doubt
from kia.imaging.reading import read_facts
from kia.studies import StudyImage, View

SHOWN = 20
"""Names in a line; of the others only the number is shown."""

Name = str | Path
File = tuple[str, Facts]
"""The name of a file, and what it says."""
LeftOut = tuple[str, str]
"""The name of a file, and why it is not read: one line, without any text from its header."""


@dataclass(frozen=True, slots=True)
class OneStudy:
    """Images that are one study because someone says so.

    Attributes:
        images: Those that may be chest X-rays, in the order given.
        places: Their places among those given.
        facts: What their files say.
        doubts: What is odd about these images.
        left_out: The others.
    """

    images: tuple[StudyImage, ...]
    places: tuple[int, ...]
    facts: tuple[Facts, ...]
    doubts: tuple[tuple[Doubt, ...], ...]
    left_out: tuple[LeftOut, ...]

    @property
    def views(self) -> list[View]:
        """Of the images."""
        return [image.view for image in self.images]


def one_study(files: Sequence[File], views: Sequence[View] | None = None) -> OneStudy:
    """Reads images as one study; the order stays as it is.

    Args:
        files: Names and facts; `kia.imaging.facts.UNKNOWN` for what is no file.
        views: What each is told to be.

    Raises:
        DataError: The headers name two patients.
        ImageError: None of them can be a chest X-ray.
    """
    refuse_two_patients([facts for _, facts in files], ", ".join(name for name, _ in files))
    places = tuple(place for place, (_, facts) in enumerate(files) if not facts.why_not)
    left_out = tuple((name, facts.why_not) for name, facts in files if facts.why_not)
    if not places:
        raise ImageError(no_chest(left_out))
    facts = tuple(files[place][1] for place in places)
    read_as = placed(facts, views and [views[place] for place in places])
    images = tuple(
        StudyImage(files[place][0], *one) for place, one in zip(places, read_as, strict=True)
    )
    return OneStudy(images, places, facts, tuple(doubts_among(images, facts)), left_out)


def check_frontal(path: Name) -> None:
    """Refuses what cannot be a frontal chest X-ray by its header.

    Raises:
        ImageError: It is a lateral view, or no chest X-ray.
    """
    (image,) = one_study([(str(path), read_facts(path))]).images
    if image.view != "frontal":
        raise ImageError(f"{path}: a lateral view by its DICOM header; a frontal one is needed")


def no_chest(left_out: Sequence[LeftOut]) -> str:
    """Says of files why none of them can be read."""
    return f"no chest X-ray: {'; '.join(by_reason(left_out))}"


def by_reason(files: Sequence[LeftOut]) -> Iterator[str]:
    """A text for each reason, with the number and names of its files."""
    names: dict[str, list[str]] = {}
    for name, why in files:
        names.setdefault(why, []).append(name)
    for why, same in names.items():
        more = f" and {len(same) - SHOWN} more" * (len(same) > SHOWN)
        listed = ", ".join(same[:SHOWN])
        yield f"{len(same)} files, {why}: {listed}{more}" if same[1:] else f"{listed}: {why}"
