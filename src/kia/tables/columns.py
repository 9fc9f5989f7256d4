"""What columns are called: the field's names for ids, reports and patients, in order."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kia.errors import DataError
from kia.studies import ID_COLUMNS
from kia.tables.notes import note

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ID_COLUMNS,
    "report": (
        *("report", "report impression", "prediction", "caption", "hyp"),
        *("text", "findings"),
    ),
    "patient": ("patient", "patient_id", "subject_id"),
    "image": ("image", "images", "image_path", "path"),
}
"""Names of a column, in any case; the first that is there counts."""

OPTIONS: Mapping[str, str] = {"id": "--id-column", "report": "--report-column"}
"""Options of commands that name a column, for error lines."""

_LONGEST_NAME, _MOST_NAMES = 40, 20


def plain(name: object) -> str:
    """A column's name as it is looked up: trimmed, lower case."""
    return str(name).strip().lower()


def find_column(
    where: Path | str, names: Sequence[str], role: str, chosen: str | None = None
) -> str | None:
    """The column that plays a role; says it in a note where two could.

    Args:
        where: The table, for notes and errors.
        names: Of its columns, `plain`.
        role: "id", "report" … (`ALIASES`), or the name of a column.
        chosen: The user's name for it.

    Returns:
        Its plain name; None if there is none.
    """
    if chosen is not None:
        return plain(chosen) if plain(chosen) in names else None
    found = [name for name in ALIASES.get(role, (plain(role),)) if name in names]
    if len(found) > 1:
        option = f" ({OPTIONS[role]} names another)" if role in OPTIONS else ""
        note(f"{where}: {role} is column {found[0]!r}, not {', '.join(found[1:])}{option}")
    return found[0] if found else None


def no_column(
    where: Path | str,
    names: Sequence[str],
    roles: Sequence[str],
    named: Mapping[str, str | None],
) -> DataError:
    """The error for columns that a table lacks; arguments as in `find_column`."""
    wanted = ", ".join(named.get(r) or " or ".join(ALIASES.get(r, (r,))) for r in roles)
    options = [OPTIONS[role] for role in roles if role in OPTIONS and not named.get(role)]
    hint = f" (name yours by {' and '.join(options)})" if options else ""
    return DataError(f"{where}: no column {wanted}; it has {listed(names)}{hint}")


def listed(names: Sequence[str]) -> str:
    """Column names for an error line; without a header these would be a patient's report."""
    words = (" ".join(name.split()) for name in names if name)
    shown = ("".join(c if c.isprintable() else "?" for c in word) for word in words)
    named = [n if len(n) <= _LONGEST_NAME else "(no name, but a long text)" for n in shown]
    return ", ".join(named[:_MOST_NAMES]) + (", …" if len(named) > _MOST_NAMES else "")
