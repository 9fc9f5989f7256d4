"""Models that come as packages, found by the entry points of group `kia.models`."""

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

GROUP = "kia.models"


def installed_models() -> dict[str, Path]:
    """The model folders of installed packages by name; nothing of the packages is run.

    An entry point NAME = "package" stands for the folder `model` of that top-level package.
    """
    found = {}
    for point in entry_points(group=GROUP):
        spec = find_spec(point.value) if point.value.isidentifier() else None
        if spec and spec.origin:
            found[point.name] = Path(spec.origin).parent / "model"
    return found


def installed_folder(source: str | Path) -> str | Path:
    """The folder of an installed model by its name; anything else, and a folder, as it is."""
    if Path(source).exists():  # a folder of that name comes first
        return source
    return installed_models().get(str(source), source)
