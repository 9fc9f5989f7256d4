"""Files → studies: what all commands, the server and the processor make of files they are given.

DICOM files with the same StudyInstanceUID are one study, wherever they lie; any other picture is a
study by itself. Of a study the first frontal and the first lateral chest X-ray are read.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from kia.errors import DataError, ImageError
from kia.imaging.body_parts import is_elsewhere
from kia.imaging.facts import PERHAPS_ELSEWHERE, Facts, placed
from kia.imaging.one_study import File, LeftOut, Name, by_reason, no_chest, one_study
from kia.imaging.paths import files_named
from kia.imaging.reading import ImageWarning, read_facts
from kia.imaging.views import pair_of_views, view_at
from kia.studies import Study, StudyImage

_ORDER = ("frontal", None, "lateral")

Progress = Callable[[int, int], None]
"""Told how many files were looked at, and how many there are."""


def read_studies(
    paths: Name | Iterable[Name | Sequence[Name]],
    *,
    on_progress: Progress = lambda done, total: None,
) -> list[Study]:
    """The studies behind files, folders and patterns, as `kia generate` finds them.

    Pixels are not read. Warns (`ImageWarning`) of files that are passed over, and of those whose
    study has no chest X-ray.

    Args:
        paths: PNG, JPEG or DICOM files; folders, with all below them; patterns ("more/*.dcm"). A
            tuple or list among them holds the views of one study: frontal first, then lateral.
        on_progress: Told how many files were looked at, and how many there are.

    Returns:
        Studies with their images in the order the model reads them, what says which view each is,
        `patient` as a hash, and in `left_out` the files of the study that are not read, and why.

    Raises:
        DataError: A folder or pattern holds no image, or a study would have two patients.
        ImageError: None of the images is a chest X-ray.
    """
    named = [paths] if isinstance(paths, Name) else list(paths)
    single = [(name, files_named(name)) for name in named if isinstance(name, Name)]
    told = [list(map(str, names)) for names in named if not isinstance(names, Name)]
    total = sum(1 if below is None else len(below) for _, below in single) + sum(map(len, told))
    look = _Look(total, on_progress)
    files: list[File] = []
    passed_over: list[LeftOut] = []
    for name, below in single:
        if below is None:
            files.append(look(name))
            continue
        images, others = _images_among(map(look, below))
        if not images:
            kind = "folder" if Path(name).is_dir() else "pattern"
            what = f"no image in this {kind} (PNG, JPEG or DICOM)"
            raise DataError(f"{name}: {what}{_passed_over(others)}")
        files += images
        passed_over += others
    studies, left_out = group(files)
    studies += [_told([look(name) for name in names]) for names in told]
    if left_out and not studies:
        raise ImageError(no_chest(left_out))
    _warn(left_out, passed_over)
    return studies


def studies_below(
    folder: Path, *, on_progress: Progress = lambda done, total: None
) -> tuple[list[Study], list[LeftOut]]:
    """The studies of a folder and of those below it, and the files that belong to none.

    Args:
        folder: Searched as by `read_studies`.
        on_progress: Told how many files were looked at, and how many there are.

    Returns:
        The files of a study that are not read are in its `left_out`, not among the others.
    """
    paths = files_named(folder) or []
    images, passed_over = _images_among(map(_Look(len(paths), on_progress), paths))
    studies, left_out = group(images)
    return studies, [*left_out, *passed_over]


def group(files: Iterable[File]) -> tuple[list[Study], list[LeftOut]]:
    """Studies of files, in the order of their first files, and the files that belong to none.

    Files that name the same study but different patients are different studies.
    """
    found: dict[object, list[File]] = {}
    for number, file in enumerate(files):
        found.setdefault(file[1].study or number, []).append(file)
    studies: list[Study] = []
    left_out: list[LeftOut] = []
    for same in found.values():
        for number, one in enumerate(_by_patient(same)):
            study, others = _study(one)
            if study is None:
                left_out += others
            else:  # of the study's second patient by the name of its first file
                studies.append(replace(study, id=one[0][0]) if number else study)
    return studies, left_out


class _Look:
    """Reads the facts of files, and tells how far it is."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self._done, self._total, self._on_progress = 0, total, on_progress

    def __call__(self, path: Name) -> File:
        found = str(path), read_facts(path)
        self._done += 1
        self._on_progress(self._done, self._total)
        return found


def _images_among(files: Iterable[File]) -> tuple[list[File], list[LeftOut]]:
    images, others = [], []
    for name, facts in files:
        if facts.kind:
            images.append((name, facts))
        else:
            others.append((name, "neither PNG, JPEG nor DICOM, or cannot be opened"))
    return images, others


def _by_patient(files: list[File]) -> Iterator[list[File]]:
    """Files of one study, by patient; those that do not say are with the first."""
    patients = dict.fromkeys(facts.patient for _, facts in files if facts.patient)
    first = next(iter(patients), None)
    for patient in patients or [None]:
        yield [file for file in files if (file[1].patient or first) == patient]


def _study(files: list[File]) -> tuple[Study | None, list[LeftOut]]:
    """A study of files that belong together; None if none of them can be read."""
    files, left_out = _without_copies(files)
    chest = [file for file in files if not file[1].why_not]
    left_out += [(name, facts.why_not) for name, facts in files if facts.why_not]
    if sure := [file for file in chest if not is_elsewhere(file[1].body_part)]:
        unsure = [name for name, facts in chest if is_elsewhere(facts.body_part)]
        left_out += [(name, PERHAPS_ELSEWHERE) for name in unsure]
        chest = sure
    if not chest:
        return None, left_out
    chest.sort(key=lambda file: (file[1].raw, _ORDER.index(file[1].view)))
    read_as = placed([facts for _, facts in chest])
    images = [StudyImage(name, *one) for (name, _), one in zip(chest, read_as, strict=True)]
    pair = pair_of_views(images)
    why = f"of a study with {len(images)} images the first frontal and lateral one are read"
    left_out += [(image.path, why) for image in images if image not in pair]
    id = chest[0][1].study or chest[0][0]
    return _of(id, pair, [facts for _, facts in chest], left_out), []


def _without_copies(files: list[File]) -> tuple[list[File], list[LeftOut]]:
    """Files of a study without those that hold an image again; a name that occurs twice is one."""
    first: dict[str, str] = {}
    kept, copies = [], []
    for name, facts in files:
        image = facts.instance or name
        if image not in first:
            first[image] = name
            kept.append((name, facts))
        elif first[image] != name:
            copies.append((name, f"a copy of another, {first[image]}"))
    return kept, copies


def _told(files: list[File]) -> Study:
    """A study of images whose views are given by their order."""
    one = one_study(files, [view_at(place) for place in range(len(files))])
    return _of(", ".join(name for name, _ in files), one.images, one.facts, one.left_out)


def _of(
    id: str, images: tuple[StudyImage, ...], facts: Sequence[Facts], left_out: Sequence[LeftOut]
) -> Study:
    patient = next((one.patient for one in facts if one.patient), None)
    return Study(id, "test", images, report="", patient=patient, left_out=tuple(left_out))


def _passed_over(files: Sequence[LeftOut]) -> str:
    """Counts and names files that are no images, for the end of a line; "" if there are none."""
    return "".join(f"; passed over: {line}" for line in by_reason(files))


def _warn(left_out: Sequence[LeftOut], passed_over: Sequence[LeftOut]) -> None:
    lines = [f"left out: {line}" for line in by_reason(left_out)]
    lines += [f"passed over: {line}" for line in by_reason(passed_over)]
    for line in lines:
        warnings.warn(line, ImageWarning, stacklevel=3)
