"""Paths that a collection names: followed only into the folders that the user allowed."""

from collections.abc import Sequence
from pathlib import Path

from kia.errors import ImageError


class ImageRoots:
    """The folders that images may lie in.

    Args:
        base: Relative paths count from here.
        others: Further folders; a relative path that leads nowhere counts from these in turn.
    """

    def __init__(self, base: Path, others: Sequence[Path] = ()) -> None:
        self._roots = [root.resolve() for root in (base, *others)]

    def find(self, name: str) -> Path:
        """The file behind a name, absolute and without symbolic links.

        Raises:
            ImageError: It is missing, or lies (by "..", an absolute path or a symbolic link)
                outside the folders.
        """
        try:
            paths = [(root / name).resolve() for root in self._roots]
            inside = [path for path in paths if any(path.is_relative_to(r) for r in self._roots)]
            found = next((path for path in inside if path.is_file()), None)
        except (OSError, ValueError) as error:  # a name too long, or with a null character
            raise ImageError(f"{name!r} is not a path ({error})") from error
        if found is None and not inside:
            raise ImageError(f"{name} lies outside the manifest's folder; allow it with --root DIR")
        if found is None:
            raise ImageError(f"{name}: no such image")
        return found


def why_missing(path: Path, root: Path) -> str:
    """Why an image cannot be taken: it is not there, or a link leads out; "" if it can.

    Args:
        path: Below `root` by its name.
        root: The folder of images, without symbolic links.
    """
    if not path.is_file():
        return "image is missing"
    inside = path.resolve().is_relative_to(root)
    return "" if inside else f"a symbolic link leads out of {root}"
