"""`kia train`: both stages, validation, model selection."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.image_input import DataSet
from kia.errors import RunError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from kia.config import RunConfig


def train(
    data: DataSet,
    out: Annotated[Path, typer.Option(help="run folder to write")],
    configuration: Annotated[
        str | None,
        typer.Argument(
            help="a preset (kia config list) or a YAML file; with --from none: the model as it is"
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value: --set train.seed=1")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="so many runs, in OUT/seed-0, OUT/seed-1 …: mean ± sd"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="run, model folder or installed model whose weights to start from"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the run in --out, or start it")
    ] = False,
) -> None:
    """Train a model: all tasks together, then report generation alone."""
    config = _configuration(configuration, data, start, overrides or [])
    options: dict[str, Any] = {"resume": resume, "start": start, "keep_words": not configuration}
    console.quiet_libraries()
    if seeds is None:
        model = train_run(config, data, out, **options)
        console.out.print(f"best model: {model}", soft_wrap=True)
        return
    if (out / "run.yaml").exists():
        raise UsageError(f"{out} holds a run; choose another --out for --seeds")
    first = config.train.seed
    folders = {seed: out / f"seed-{seed}" for seed in range(first, first + seeds)}
    for folder in folders.values():  # said before the first of them is trained
        if not resume and (folder / "run.yaml").exists():
            raise RunError(
                f"{folder} holds a run: continue it with --resume, or choose another --out"
            )
    for seed, folder in folders.items():
        console.err.print(f"seed {seed}: {folder}", soft_wrap=True)
        train_run(with_seed(config, seed), data, folder, **options)
    _print_seeds(folders)


def _configuration(
    name: str | None, data: Path, start: str | None, overrides: list[str]
) -> "RunConfig":
    """The one that is named; of none, that of a run which goes on with a model as it is."""
    from kia.config import load_config

    if name is not None:
        return load_config(name, overrides)
    if start is None:
        raise UsageError("name a preset (kia config list) or a YAML file, or a model with --from")
    from kia.data.store.dataset import PreparedDataset
    from kia.training.fine_tuning import fine_tuning

    return fine_tuning(start, PreparedDataset.open(data), overrides)


def train_run(config: "RunConfig", data: Path, out: Path, **options: Any) -> Path:
    """One run, with a progress bar; returns the folder of the best model.

    Args:
        config: Of the run.
        data: Prepared data set.
        out: Run folder.
        options: Those of `kia.training.train`.
    """
    from kia.training import train as run

    with training_progress() as reporter:
        return run(config, data, out, reporter=reporter, **options)


@contextmanager
def training_progress() -> "Iterator[ProgressReporter]":
    """One bar for a training."""
    with console.progress() as bar:
        yield ProgressReporter(bar)


def with_seed(config: "RunConfig", seed: int) -> "RunConfig":
    """The same configuration with another training seed."""
    return config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})


def _print_seeds(folders: dict[int, Path]) -> None:
    """The best validation of each seed, and mean ± sd; the test split is not touched."""
    import statistics

    names = ("cider", "image_gain", "loss", "unique_reports", "epoch")
    found = {seed: best_validation(folder) for seed, folder in folders.items()}
    rows: list[list[object]] = [[seed, *map(best.get, names)] for seed, best in found.items()]
    values = [[best[name] for best in found.values()] for name in names]
    rows.append(["mean", *(float(statistics.mean(column)) for column in values)])
    if len(found) > 1:
        rows.append(["± sd", *(float(statistics.stdev(column)) for column in values)])
    title = "validation of the kept models; the test split is left for kia evaluate"
    console.table(["seed", "CIDEr", "image gain", "loss", "reports", "epoch"], rows, title=title)


def best_validation(run: Path) -> dict[str, Any]:
    """What the log of a run says of the validation at which its model was kept.

    Raises:
        RunError: There is none.
    """
    from kia.training.run_log import read_log

    kept = [line for line in read_log(run / "log.jsonl") if line.get("best")]
    if not kept:
        raise RunError(f"{run / 'log.jsonl'} holds no validation")
    return dict(kept[-1])


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
