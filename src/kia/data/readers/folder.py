"""A folder of images, of whatever depth: studies as `kia.read_studies` finds them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kia.data.readers.inputs import Input, ListedInputs
from kia.errors import DataError, ImageError
from kia.imaging.grouping import studies_below
from kia.imaging.paths import ImageRoots
from kia.imaging.workers import Reject
from kia.studies import Study, StudyImage


def read_folder(
    folder: Path,
    roots: Sequence[Path] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ListedInputs:
    """The studies of a folder and of those below it, all in test: there are no reports.

    DICOM files are grouped by StudyInstanceUID, which is the id of the study; the id of any other
    image is its path. The patient is a hash of the PatientID.

    Args:
        folder: Images behind symbolic links that lead out of it are rejects,
        roots: but for those that lead into one of these folders.
        on_progress: Told how many files were looked at, and how many there are.

    Returns:
        A study an input, with a reject for each file of it that is not read; then a reject for each
        file of no study.

    Raises:
        DataError: The folder holds no study.
    """
    studies, others = studies_below(folder, on_progress=on_progress)
    allowed = ImageRoots(folder, roots)
    inputs = [_input(study, folder, allowed) for study in studies]
    inputs += [[Reject(_below(name, folder), why)] for name, why in others]
    if not any(isinstance(item, Study) for items in inputs for item in items):
        why = f"; {_below(others[0][0], folder)}: {others[0][1]}" if others else ""
        raise DataError(f"{folder}: holds no study{why}")
    return ListedInputs(inputs)


def _input(study: Study, folder: Path, roots: ImageRoots) -> Input:
    id = _below(study.id, folder) if study.id == study.images[0].path else study.id
    items: list[Study | Reject] = [
        Reject(f"{id} ({_below(name, folder)})", why) for name, why in study.left_out
    ]
    images: list[StudyImage] = []
    for image in study.images:
        name = _below(image.path, folder)
        try:
            images.append(replace(image, path=str(roots.find(name))))
        except ImageError as error:
            items.append(Reject(f"{id} ({name})", str(error)))
    if images:
        return [*items, replace(study, id=id, images=tuple(images))]
    return [*items, Reject(id, "no image")]


def _below(name: str, folder: Path) -> str:
    return Path(name).relative_to(folder).as_posix()
