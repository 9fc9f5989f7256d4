"""Which study belongs to train, val and test: from a file, or drawn by patient or report."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.studies import SPLITS, Split
from kia.tables.cells import identity, is_missing
from kia.tables.json_lines import read_json
from kia.tables.table import read_rows

_NAMES: Mapping[str, Split] = {
    **{split: split for split in SPLITS},
    **dict.fromkeys(("valid", "validate", "validation", "dev"), "val"),
    "training": "train",
    "testing": "test",
}


def split_named(name: Any, where: object) -> Split:
    """The split that a collection calls "validate", "dev", "training" …; DataError if none."""
    split = _NAMES.get(str(name).strip().lower())
    if split is None:
        raise DataError(f"{where}: split {name!r} is none of {', '.join(SPLITS)}")
    return split


@dataclass(frozen=True, slots=True)
class RandomSplit:
    """A split drawn from names alone: their order and number of images do not matter.

    Attributes:
        seed: Another seed draws another split.
        ratio: Relative sizes of train, val and test; by default those of R2Gen on IU X-Ray.
    """

    seed: int = 0
    ratio: tuple[float, float, float] = (7, 1, 2)

    def draw(self, groups: Iterable[str]) -> dict[str, Split]:
        """Split of each group.

        Args:
            groups: Names of what must stay together: of patients, or of reports.
        """
        drawn = sorted(set(groups), key=self._lot)
        ends = [round(len(drawn) * end / sum(self.ratio)) for end in accumulate(self.ratio)]
        starts = [0, *ends[:-1]]
        return {
            group: split
            for split, start, end in zip(SPLITS, starts, ends, strict=True)
            for group in drawn[start:end]
        }

    def _lot(self, group: str) -> bytes:
        return hashlib.sha256(f"{self.seed}/{group}".encode("utf-8", "surrogatepass")).digest()


def read_split(path: Path, id_column: str | None = None) -> dict[str, Split]:
    """A split from a file.

    Args:
        path: A table with the columns id and split, or a .json file {"train": […], "val": […],
            "test": […]} of ids or of R2Gen's records.
        id_column: The column of ids, if it is there; else the usual ones.

    Returns:
        Id → split.

    Raises:
        DataError: The file is malformed, or puts an id into two splits.
    """
    if path.suffix.lower() == ".json":
        content = read_json(path)
        if not isinstance(content, dict) or not all(isinstance(v, list) for v in content.values()):
            raise DataError(f"{path}: expected the keys {', '.join(SPLITS)} with lists of ids")
        pairs = [(entry, name) for name, entries in content.items() for entry in entries]
        pairs = [(e.get("id") if isinstance(e, dict) else e, name) for e, name in pairs]
    else:
        rows = read_rows(path, ("id", "split"), preferred={"id": id_column})
        pairs = [(row["id"], row["split"]) for row in rows]
    found: dict[str, Split] = {}
    for entry, name in pairs:
        if is_missing(entry) or isinstance(entry, list | dict):
            raise DataError(f"{path}: an entry of {name} has no id")
        if name is None:
            raise DataError(f"{path}: {entry} has no split")
        split = split_named(name, f"{path}, {entry}")
        if found.setdefault(identity(entry), split) != split:
            raise DataError(f"{path}: {entry} is in {found[identity(entry)]} and in {split}")
    if not found:
        raise DataError(f"{path}: names no study")
    return found
