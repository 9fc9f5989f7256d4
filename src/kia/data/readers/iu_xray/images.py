"""Images of IU X-Ray: one flat folder (Open-i, Kaggle), or a folder a study (R2Gen)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kia.data.readers.iu_xray.reports import image_key, study_id, uid_of
from kia.errors import DataError
from kia.files.regular import real_path
from kia.imaging.paths import why_missing
from kia.imaging.views import pair_of_views, view_at
from kia.studies import StudyImage, View
from kia.tables.table import read_rows

Listed = tuple[str, View | None]
"""Name of an image, and its view if the source tells."""

_EXTENSIONS = (".jpeg", ".jpg", ".png")  # of files that differ in nothing else, the last is used
_VIEWS: Mapping[str, View] = {"Frontal": "frontal", "Lateral": "lateral"}


@dataclass(slots=True)
class IUImages:
    """What lies in the folder of images.

    Attributes:
        root: The folder, without symbolic links.
        files: uid → name of the image (`image_key`) → path.
        folders: R2Gen's folders by uid.
    """

    root: Path
    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def in_folder(cls, folder: Path) -> "IUImages":
        """List a folder; DataError if it is missing or holds neither images nor R2Gen's folders."""
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of images")
        images = cls(real_path(folder))
        entries = sorted(images.root.iterdir(), key=lambda path: path.suffix.lower())
        for path in entries:
            if path.suffix.lower() in _EXTENSIONS:
                uid, name = image_key(path.name)
                images.files.setdefault(uid, {})[name] = path
            elif path.name.startswith("CXR") and path.is_dir():
                images.folders[uid_of(path.name)] = path
        if not images.files and not images.folders:
            raise DataError(f"{folder}: holds no .png or .jpg, nor folders CXR…/0.png")
        return images

    def listed(self, uid: str) -> list[Listed]:
        """The images of a study that are there, for sources that list none."""
        if not self.files:
            folder = self.folders.get(uid)
            found = [] if folder is None else list(folder.iterdir())
            numbered = [path for path in found if path.stem.isdecimal()]
            return [(path.name, None) for path in sorted(numbered, key=lambda p: int(p.stem))]
        return [(path.name, None) for _, path in sorted(self.files.get(uid, {}).items())]

    def study_id(self, uid: str, listed: Sequence[Listed]) -> str:
        """R2Gen's id of a study; without images it is the bare number."""
        if uid in self.folders:
            return self.folders[uid].name
        return study_id(name for name, _ in listed) if listed else f"CXR{uid}"

    def find(self, uid: str, listed: Sequence[Listed]) -> tuple[tuple[StudyImage, ...], list[str]]:
        """The images of a study that a model reads, and the names of those that are not there.

        The first frontal and the first lateral one; without such a pair the first two. Where no
        source tells the views, the first image counts as frontal and the others as lateral.
        """
        found: list[StudyImage] = []
        missing: list[str] = []
        for position, (name, view) in enumerate(listed):
            path = self._path(uid, name)
            if path is None:
                missing.append(name)
            else:
                found.append(StudyImage(str(path), view or view_at(position)))
        return pair_of_views(found), missing

    def _path(self, uid: str, name: str) -> Path | None:
        """DataError for a symbolic link that leads out of the folder."""
        if self.files:
            path = self.files.get(uid, {}).get(image_key(name)[1])
        else:
            path = self.folders[uid] / name if uid in self.folders else None
        if path is None or not path.is_file():
            return None
        if why := why_missing(path, self.root):
            raise DataError(f"{path}: {why}; put the image itself there")
        return path


def read_projections(path: Path) -> dict[str, list[Listed]]:
    """uid → images with their views, in the order of indiana_projections.csv."""
    images: dict[str, list[Listed]] = {}
    columns = ("id", "filename", "projection")
    for row in read_rows(path, columns, named={"id": "uid"}):
        uid, name, projection = (row[column] for column in columns)
        view = _VIEWS.get(projection)
        if uid is None or name is None or view is None:
            raise DataError(f"{path}: {name or uid} has projection {projection!r}")
        images.setdefault(uid, []).append((name, view))
    return images
