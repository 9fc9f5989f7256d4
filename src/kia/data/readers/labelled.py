"""Collections that have labels and no reports: what their readers share."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from kia.data.readers.inputs import Input, ListedInputs
from kia.errors import DataError, UsageError
from kia.files.regular import real_path
from kia.imaging.paths import files_below, why_missing
from kia.imaging.workers import Reject
from kia.studies import Study
from kia.tables.table import Table

NO_PATIENTS = "--split-by image draws by image, and a patient may then be in two splits"


def named_column(table: Table, *names: str, wanted: bool = True) -> str | None:
    """The first of these columns that a table has.

    Raises:
        DataError: It has none, and one is wanted.
    """
    found = next((name for name in names if name in table.columns), None)
    if found is None and wanted:
        raise DataError(f"{table.path}: no column {' or '.join(names)}")
    return found


def patient_column(table: Table, *names: str, by_image: bool) -> str | None:
    """The column of patients; None where a draw by image was asked for.

    Raises:
        UsageError: There is none, and nobody said that images may be drawn instead.
    """
    if by_image:
        return None
    found = named_column(table, *names, wanted=False)
    if found is None:
        raise UsageError(f"{table.path}: no column {' or '.join(names)}; {NO_PATIENTS}")
    return found


class Files:
    """The images of a folder and of those below it, by name.

    Args:
        folder: A symbolic link in it may not lead out of it.

    Raises:
        DataError: There is no such folder, or two files in it have one name.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of images")
        self.root = real_path(folder)
        self._paths: dict[str, Path] = {}
        for path in files_below(self.root):
            if path.name in self._paths:
                raise DataError(f"{folder}: two files are called {path.name}")
            self._paths[path.name] = path

    def find(self, name: str) -> Path:
        """The file of this name; DataError if there is none, or a link leads out of the folder."""
        path = self._paths.get(name, self.root / name)
        if why := why_missing(path, self.root):
            raise DataError(why)
        return path


def labelled_inputs(
    studies: Iterable[Study | Reject], files: Iterable[Path | None]
) -> ListedInputs:
    """The inputs of a collection whose studies are all known.

    Raises:
        DataError: None of them is a study.
    """
    inputs: list[Input] = [[item] for item in studies]
    if not any(isinstance(item, Study) for items in inputs for item in items):
        first = next(
            (f"; {one.what}: {one.why}" for [one] in inputs if isinstance(one, Reject)), ""
        )
        raise DataError(f"no image of the table is there{first}")
    return ListedInputs(inputs, [path for path in files if path is not None])


def same_or_refuse(
    seen: dict[str, Mapping[str, int | None]],
    name: str,
    labels: Mapping[str, int | None],
    where: str,
) -> bool:
    """Whether an image is there already, with the same labels.

    Raises:
        DataError: It has other labels there.
    """
    if name not in seen:
        seen[name] = labels
        return False
    if seen[name] != labels:
        raise DataError(f"{where}: {name} is there twice, with different labels")
    return True
