"""The `kia` command: finds the commands and turns every failure into one line."""

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import kia
from kia.core_files import leave_none
from kia.errors import KIAError
from kia.processes.safe_path import leave_folder

SPINS = "10000"
"""How often a thread of torch looks for work before it sleeps; libgomp's own is 300,000.

Threads that wait awake lose a time slice at each kernel where another program keeps one of their
cores busy: a report took 28 s instead of 5 (docs/performance.md).
"""

COMMANDS = {
    "demo": "Make phantom X-rays, train a tiny model on them, score it, and show a report.",
    "generate": "Write reports for chest X-rays. Research only; not for clinical use.",
    "data": "Prepare and inspect data sets.",
    "knowledge": "Labels, graphs, organs, landmarks, masks: what a radiologist knows.",
    "train": "Train a model: all tasks together, then report generation alone.",
    "evaluate": "Score reports: four protocols, clinical efficacy, errors, graphs, baselines, "
    "intervals.",
    "rexrank": "Write reports for the leaderboard ReXrank, from its input file into its form.",
    "ablate": "Train, score and compare the settings of a table of the paper; "
    "give it again to continue.",
    "runs": "List, show and compare training runs by their logs.",
    "findings": "Give the probability of each observation. Research only; not for clinical use.",
    "retrieve": "Find the studies that fit an image or a text best (Figure 10).",
    "explain": "See what the model and its knowledge look at.",
    "serve": "Serve a model: a web page and a REST API. Research only; not for clinical use.",
    "hub": "Share a model: its card, and the Hugging Face hub.",
    "bench": "Speed on this machine, as ratios and shares.",
    "info": "Show parameters by component, and estimate memory and time of a training.",
    "config": "Presets and the meaning of every field.",
}
"""Commands and groups of commands as a user meets them, with what `kia --help` says of each.

`kia NAME` is `app` or `NAME` of the module kia.cli.NAME, or of `command` in the folder of that
name; it is imported when it is used.
"""


class Commands(Mapping[str, Any]):
    """The commands by name, each built when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        module = import_module(f"kia.cli.{name}")
        if hasattr(module, "__path__"):
            module = import_module(f"kia.cli.{name}.command")
        built = typer.Typer()
        if hasattr(module, "app"):
            built.add_typer(module.app, name=name)
        else:
            built.command(name)(getattr(module, name))
        return typer.main.get_group(built).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyGroup(TyperGroup):
    """Shows its help without importing a command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Commands()  # type: ignore[assignment]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Prints the help; as typer's, whose module for it takes half of the time."""
        from rich.console import Console
        from rich.padding import Padding
        from rich.panel import Panel
        from rich.table import Table

        console = Console(highlight=False)
        console.print(Padding(self.get_usage(ctx), 1), style="bold", markup=False)
        console.print(Padding(self.help or "", (0, 1, 1, 1)))
        records = (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))
        panels = {"Options": dict(filter(None, records)), "Commands": COMMANDS}
        width = max(len(name) for rows in panels.values() for name in rows)
        for title, rows in panels.items():
            grid = Table.grid(padding=(0, 2), expand=True)
            grid.add_column(style="bold cyan", no_wrap=True, width=width)
            grid.add_column(ratio=1)
            for row in rows.items():
                grid.add_row(*row)
            console.print(Panel(grid, title=title, title_align="left", border_style="dim"))


app = typer.Typer(
    name="kia",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Chest X-ray report generation. Research only; not for clinical use.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"kia {kia.__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="show the version"),
    ] = False,
) -> None:
    """Options of every command (`main` reads --debug wherever it stands)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after `kia`; those of the process if absent.

    Returns:
        Exit code: 0 done, 1 failure, 2 wrong usage or configuration, 130 interrupted.
    """
    if arguments is None:  # this process is the command's own
        leave_folder()
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    # torch and its libgomp read both, and a command imports them later
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if Path("/sys/kernel/mm/transparent_hugepage").exists():
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large tensors in large pages
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not debug:
        leave_none()
    try:
        code = app(args=words, prog_name="kia", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without its command
            error.show()  # type: ignore[attr-defined]
            return 2
        from kia.cli.console import visible

        if debug:
            print(visible(traceback.format_exc()), end="", file=sys.stderr)
        line, code = describe(error)
        print(f"error: {visible(' '.join(line.split()))}", file=sys.stderr)
        return code
    if code == 130:
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _show_warning(*warning: Any) -> None:
    from kia.cli import console

    console.show_warning(*warning)


def describe(error: Exception) -> tuple[str, int]:
    """The line that tells a user about an error, and the exit code."""
    if isinstance(error, KIAError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # typer's own: a wrong option, a missing argument
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help)" if context else ""
        return error.format_message().rstrip(".") + hint, 2
    if isinstance(error, typer.Abort):
        return "aborted", 1
    text = str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in text:
        place = getattr(error, "filename", None)
        return f"no space left on the device{f' for {place}' if place else ''}; free some", 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; try a smaller batch or model", 1
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}", 1
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"unexpected {what}; run again with --debug for the traceback", 1


if __name__ == "__main__":
    sys.exit(main())
