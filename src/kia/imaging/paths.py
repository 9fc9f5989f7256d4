"""Paths: of a collection, into allowed folders alone; of folders and patterns, to their files."""

from collections.abc import Iterator, Sequence
from glob import glob
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


def files_below(folder: Path) -> Iterator[Path]:
    """All files of a folder and of those below it.

    Links to folders are followed, once. What is hidden (".name", "__MACOSX") or no file (a pipe, a
    device) is not looked at, nor is a DICOMDIR: it is the index of the files beside it. Folders
    that cannot be opened, and links that lead nowhere, are given as they are.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            about = here.stat()
            entries = sorted(here.iterdir())
        except OSError:
            yield here
            continue
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        for path in entries:
            if path.name.startswith((".", "__MACOSX")) or path.name.upper() == "DICOMDIR":
                continue
            if path.is_dir():
                waiting.append(path)
            elif path.is_file() or not path.exists():
                yield path


def files_named(name: str | Path) -> list[Path] | None:
    """The files behind a folder or a pattern; None for the name of one file.

    Args:
        name: Of a file or folder; text may be a pattern ("*.dcm", "**/*.png"), whose folders are
            searched, too.
    """
    if Path(name).is_dir():
        return sorted(files_below(Path(name)))
    if isinstance(name, Path) or Path(name).exists() or not any(sign in name for sign in "*?["):
        return None
    found = sorted(map(Path, glob(name, recursive=True)))  # noqa: PTH207  Path.glob: no absolute one
    below = [sorted(files_below(path)) if path.is_dir() else (path,) for path in found]
    return list(dict.fromkeys(path for paths in below for path in paths))
