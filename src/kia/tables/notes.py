"""What is worth a line though nothing failed: how a file was read, what is missing in it."""

import warnings
from collections.abc import Sequence

NAMED = 5
"""How many of a list are named in a line."""


class Note(UserWarning):
    """A line about a file that was read. Commands print it on stderr; each is said once."""


def note(text: str) -> None:
    """Says a line; Python's own filters of warnings apply (`kia.tables.notes.Note`)."""
    warnings.warn(Note(text), stacklevel=2)


def first_of(names: Sequence[object]) -> str:
    """The first names of a list, for a line: "3, 7, 9, …"."""
    shown = ", ".join(str(name)[:40] for name in names[:NAMED])
    return shown + (", …" if len(names) > NAMED else "")
