"""The `kia` command: registers the commands and turns every failure into one line."""

import errno
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

import kia
from kia.cli import console
from kia.cli.ablate import ablate
from kia.cli.config import app as config_app
from kia.cli.data import app as data_app
from kia.cli.demo import demo
from kia.cli.evaluate import evaluate
from kia.cli.explain import app as explain_app
from kia.cli.findings import findings
from kia.cli.generate import generate
from kia.cli.info import info
from kia.cli.knowledge import app as knowledge_app
from kia.cli.runs import app as runs_app
from kia.cli.train import train
from kia.errors import KIAError

ORDER = (
    "demo",
    "generate",
    "data",
    "knowledge",
    "train",
    "evaluate",
    "ablate",
    "runs",
    "findings",
    "explain",
    "info",
    "config",
)


class InOrder(TyperGroup):
    """Lists commands and groups of commands in `ORDER`, as a user meets them."""

    def list_commands(self, ctx: object) -> list[str]:
        """Names of the commands, in order."""
        return sorted(self.commands, key=ORDER.index)


app = typer.Typer(
    name="kia",
    cls=InOrder,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
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


app.command()(demo)
app.command()(generate)
app.command()(findings)
app.add_typer(data_app, name="data")
app.add_typer(knowledge_app, name="knowledge")
app.command()(train)
app.add_typer(runs_app, name="runs")
app.command()(evaluate)
app.command()(ablate)
app.add_typer(explain_app, name="explain")
app.command()(info)
app.add_typer(config_app, name="config")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after `kia`; those of the process if absent.

    Returns:
        Exit code: 0 done, 1 failure, 2 wrong usage or configuration, 130 interrupted.
    """
    warnings.showwarning = console.show_warning  # type: ignore[assignment]
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        code = app(args=words, prog_name="kia", standalone_mode=False)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group without its command
            error.show()  # type: ignore[attr-defined]
            return 2
        if debug:
            traceback.print_exc()
        line, code = describe(error)
        print(f"error: {' '.join(line.split())}", file=sys.stderr)
        return code
    if code == 130:
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


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
