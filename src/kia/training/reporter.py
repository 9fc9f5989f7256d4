"""Who is told how training goes."""

from typing import Protocol


class Reporter(Protocol):
    """Who is told how training goes (the command line draws a progress bar)."""

    def begin(self, what: str, total: int, done: int) -> None:
        """A stretch of work with `total` studies begins, `done` of them finished before."""

    def advance(self, studies: int, losses: dict[str, float] | None = None) -> None:
        """More studies are finished; the newest mean losses, if there are any."""

    def note(self, text: str) -> None:
        """A line that stays on the screen."""


class Silence:
    """The reporter of all ranks but the first."""

    def begin(self, what: str, total: int, done: int) -> None:
        """Says nothing."""

    def advance(self, studies: int, losses: dict[str, float] | None = None) -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""
