"""`kia train`: both stages, validation, model selection."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress


def train(
    configuration: Annotated[str, typer.Argument(help="a preset (kia config list) or a YAML file")],
    data: Annotated[Path, typer.Option(help="prepared data set")],
    out: Annotated[Path, typer.Option(help="run folder to write")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value: --set train.seed=1")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the run in --out, or start it")
    ] = False,
) -> None:
    """Train a model: all tasks together, then report generation alone."""
    from kia.config import load_config

    config = load_config(configuration, overrides or [])
    from kia.training import train as run

    console.quiet_libraries()
    with console.progress() as bar:
        model = run(config, data, out, resume=resume, reporter=ProgressReporter(bar))
    console.out.print(f"best model: {model}", soft_wrap=True)


class ProgressReporter:
    """Draws training as one progress bar with the newest losses beside it."""

    def __init__(self, bar: "Progress") -> None:
        self.bar = bar
        self.what = ""
        self.task = bar.add_task("starting", total=None)

    def begin(self, what: str, total: int, done: int) -> None:
        """A new epoch or validation."""
        self.what = what
        self.bar.reset(self.task, description=what, total=total, completed=done)

    def advance(self, studies: int, losses: dict[str, float] | None = None) -> None:
        """More studies are done."""
        if losses:
            shown = " ".join(f"{name} {value:.2f}" for name, value in losses.items())
            self.bar.update(self.task, description=f"{self.what}  {shown}")
        self.bar.advance(self.task, studies)

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.bar.console.print(text, soft_wrap=True)
