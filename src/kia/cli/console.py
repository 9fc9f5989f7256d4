"""What all commands print and write: tables on stdout, progress on stderr, JSON files whole.

Whatever is printed may come from a stranger's file, folder or header: it is shown as it is. Nothing
in it steers the terminal, or is read as rich's markup.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from kia.errors import UsageError
from kia.files.writing import STEERING
from kia.files.writing import json_text as json_text
from kia.files.writing import write_json as write_json

NumbersFile = Annotated[Path | None, typer.Option("--json", help="write the numbers")]

PIPE_WIDTH = 120  # characters of a line where the output is no terminal


def visible(text: str) -> str:
    """A text whose control characters are shown as Python writes them, such as \\x1b.

    Lines and tabs stay; lines of Windows end as all others.
    """
    return STEERING.sub(_written, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same for a name or an id, which can begin no line of its own."""
    return re.sub(r"[\n\t]", _written, STEERING.sub(_written, text))


class _Console(Console):
    """Shows text as it is; nothing in it is markup or an emoji's name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string that is printed, or stands in a table."""
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The same for rich's own texts, wherever they were made."""
        if isinstance(renderable, Text):
            renderable = _visible_text(renderable)
        return super().render(renderable, options)


def _console(stderr: bool, **options: Any) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    # of several processes of `accelerate launch` the first speaks
    quiet = os.environ.get("RANK", "0") != "0"
    return _Console(stderr=stderr, width=width, quiet=quiet, **options)


out = _console(stderr=False)
"""Results: tables and reports."""

err = _console(stderr=True)
"""Everything else: progress, notes, warnings."""


class _Rate(ProgressColumn):
    """Steps a second, or seconds a step where they are slow."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")


def quiet_libraries() -> None:
    """Switches off the progress bars and warnings of transformers and the hub's client.

    Call it before they are imported; whether they are is left to what follows.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if "transformers" in sys.modules:
        logging = import_module("transformers.utils.logging")
        logging.disable_progress_bar()
        logging.set_verbosity_error()


def show_warning(message: Warning | str, *_: object) -> None:
    """Prints a warning, or a note, as one line; in place of `warnings.showwarning`."""
    from kia.tables.notes import Note

    kind = "note" if isinstance(message, Note) else "warning"
    err.print(f"{kind}: {' '.join(str(message).split())}", soft_wrap=True)


def say(head: str, text: str) -> None:
    """Prints a text after a few bold words."""
    out.print(Text.assemble((head, "bold"), "  ", visible(text)), soft_wrap=True)


def progress() -> Progress:
    """A progress bar on stderr with count, rate and remaining time; use it as a context."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=err,
    )


@contextmanager
def tracked() -> Iterator[Callable[[str, int], Callable[[int], None]]]:
    """Progress bars for a function of the library that begins one after another of them."""
    with progress() as bar:

        def begin(what: str, total: int) -> Callable[[int], None]:
            task = bar.add_task(what, total=total)
            return lambda count: bar.advance(task, count)

        yield begin


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None
) -> None:
    """Prints a table on stdout; numbers stand right, None is a dash, floats have 4 decimals."""
    rows = [list(row) for row in rows]
    grid = Table(title=title, box=box.SIMPLE, title_justify="left")
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows if row[index] is not None]
        numeric = bool(cells) and all(isinstance(cell, int | float) for cell in cells)
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*map(_cell, row))
    out.print(grid)


def check_picture(file: Path, option: str = "") -> None:
    """Refuses a picture by another name than a PNG's.

    Args:
        file: To be written.
        option: That named it, for the error.

    Raises:
        UsageError: Its name ends otherwise.
    """
    if file.suffix.lower() != ".png":
        what = f"{option} {file}".strip()
        raise UsageError(f"{what}: the picture is a PNG; use a name that ends in .png")


def _written(one: re.Match[str]) -> str:
    return one[0].encode("unicode_escape").decode()


def _visible_text(text: Text) -> Text:
    """The same in rich's form, with its styles."""
    if not STEERING.search(text.plain):
        return text
    whole = text.blank_copy()
    for part in text.divide([at for one in STEERING.finditer(text.plain) for at in one.span()]):
        shown = Text(visible(part.plain))
        for span in part.spans:
            shown.stylize(span.style, *((span.start, span.end) if len(part) == len(shown) else ()))
        whole.append_text(shown)
    return whole


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
