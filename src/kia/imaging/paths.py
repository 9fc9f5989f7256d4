"""Paths that a collection names: followed only into the folders that the user allowed."""

from collections.abc import Sequence
from pathlib import Path

from kia.errors import ImageError
from kia.files.regular import real_path

_LONGEST = 200  # characters of a name in an error line


class ImageRoots:
    """The folders that images may lie in.

    Args:
        base: Relative paths count from here.
        others: Further folders; a relative path that leads nowhere counts from these in turn.
    """

    def __init__(self, base: Path, others: Sequence[Path] = ()) -> None:
        self._roots = [real_path(root) for root in (base, *others)]

    def find(self, name: str) -> Path:
        """The file behind a name, absolute and without symbolic links.

        Raises:
            ImageError: It is missing, or lies (by "..", an absolute path or a symbolic link)
                outside the folders.
        """
        try:
            named = [root / name for root in self._roots]
            paths = {path: real_path(path) for path in named}
            inside = [p for p in named if any(paths[p].is_relative_to(r) for r in self._roots)]
            found = next((paths[path] for path in inside if path.is_file()), None)
        except (OSError, ValueError):  # too long, or with a null character or half of one
            raise ImageError(f"{name[:_LONGEST]!r} is not a path") from None
        if found is None and not inside:
            raise ImageError(f"{name} lies outside the manifest's folder; allow it with --root DIR")
        if found is None:  # or a symbolic link that leads in a circle
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
    inside = real_path(path).is_relative_to(root)
    return "" if inside else f"a symbolic link leads out of {root}"
