"""What the columns of a table are for: from the names of a header to the values of a row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.tables.cells import MAY_BE_MISSING, identity, is_missing, text_of
from kia.tables.columns import find_column, plain
from kia.tables.notes import note

_MORE = "quote texts that hold the separator"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader of a table asks for.

    Attributes:
        required: Roles, or names of columns, that must be there.
        optional: Those that may be there.
        named: Role → the user's name for its column, which must be there.
        preferred: Role → a name that counts before the usual ones, where it is there.
        prose: Plain names of columns where a word such as "None" is an answer.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    named: Mapping[str, str | None]
    preferred: Mapping[str, str | None]
    prose: Collection[str]

    def plan(self, path: Path, names: Sequence[str]) -> "Plan":
        """How rows with these names are read; DataError if one is there twice."""
        found = [plain(name) for name in names]
        if twice := [name for name in found if name and found.count(name) > 1]:
            raise DataError(f"{path}: the column {twice[0][:40]!r} is there twice")
        role_of: dict[str, str] = {}
        lacks = []
        for role in dict.fromkeys((*self.required, *self.optional)):
            column = self._column(path, found, role)
            if column is None:
                if role in self.required or self.named.get(role) is not None:
                    lacks.append(role)
            elif column in role_of:
                raise DataError(f"{path}: {column!r} cannot be both {role_of[column]} and {role}")
            else:
                role_of[column] = role
        taken = set(role_of.values())
        keys = [role_of.get(name, "" if name in taken else name) for name in found]
        least = max((i + 1 for i, key in enumerate(keys) if key in self.required), default=0)
        prose = frozenset(key for key, name in zip(keys, found, strict=True) if name in self.prose)
        ids = tuple(key for key in ("id", "patient") if key in keys)
        return Plan(tuple(keys), ids, prose, least, tuple(lacks))

    def _column(self, path: Path, found: Sequence[str], role: str) -> str | None:
        named, preferred = self.named.get(role), self.preferred.get(role)
        if named is None and preferred is not None and plain(preferred) in found:
            named = preferred
        column = find_column(path, found, role, named)
        if column is not None and named is None and preferred is not None:
            note(f"{path}: no column {preferred!r}; {role} is column {column!r}")
        return column


@dataclass(frozen=True, slots=True)
class Plan:
    """How a row is read.

    Attributes:
        keys: Of the values; "" for a column that is left out.
        ids: Those of ids.
        prose: Keys of the columns where words for a missing value are answers.
        least: Cells that a row needs.
        lacks: Required roles without a column.
    """

    keys: tuple[str, ...]
    ids: tuple[str, ...]
    prose: frozenset[str]
    least: int
    lacks: tuple[str, ...]

    def values(self, cells: Sequence[Any]) -> tuple[dict[str, Any], str | None]:
        """Values by key, None where missing, and the problem of the row, if it has one."""
        width = len(self.keys)
        problem = None
        if len(cells) != width:
            if len(cells) < self.least or any(not is_missing(cell) for cell in cells[width:]):
                problem = f"{len(cells)} values for {width} columns; {_MORE}"
            cells = [*cells[:width], *[None] * (width - len(cells))]
        values = {
            key: cell
            if cell.__class__ is str and cell and cell[0] not in MAY_BE_MISSING
            else None
            if is_missing(cell, prose=key in self.prose)
            else cell
            for key, cell in zip(self.keys, cells, strict=True)
        }
        values.pop("", None)
        try:
            for role in self.ids:
                if values[role] is not None:
                    values[role] = identity(values[role])
            report = values.get("report")
            if report is not None and not isinstance(report, str):
                values["report"] = _prose(report)
        except ValueError as error:
            problem = problem or str(error)
        return values, problem


def _prose(value: Any) -> str:
    """A report that is no text: a number, or [text], as coco's scorers take it."""
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"the report must be a text, not a list of {len(value)}")
        value = value[0]
    if isinstance(value, bool | list | tuple | dict):
        raise ValueError("the report must be a text")
    return text_of(value)
