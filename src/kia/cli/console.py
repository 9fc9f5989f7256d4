"""What all commands print and write: tables on stdout, progress on stderr, JSON files whole."""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from kia.errors import UsageError

NumbersFile = Annotated[Path | None, typer.Option("--json", help="write the numbers")]

PIPE_WIDTH = 120  # characters of a line where the output is no terminal


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    # of several processes of `accelerate launch` the first speaks
    quiet = os.environ.get("RANK", "0") != "0"
    return Console(stderr=stderr, highlight=False, width=width, quiet=quiet)


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
    err.print(f"{kind}: {message}", markup=False, soft_wrap=True)


def progress() -> Progress:
    """A progress bar on stderr with count, rate and remaining time; use it as a context."""
    return Progress(
        TextColumn("{task.description}"),
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
        grid.add_row(*(Text(_cell(cell)) for cell in row))
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


def write_json(path: str | Path, content: Any) -> None:
    """Writes a JSON file whole or not at all; folders are made, NaN and infinity become null."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False, default=str) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
