"""`kia runs`: what run folders say, side by side: scores, speed, warnings, curves."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.errors import UsageError

if TYPE_CHECKING:
    from kia.training.run_log import RunRecord

app = typer.Typer(
    help="List, show and compare training runs by their logs.",
    no_args_is_help=True,
)

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="write what is shown as JSON")
]
PlotFile = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="draw the curves as a PNG")
]

BARS = "▁▂▃▄▅▆▇█"


@app.command("list")
def list_runs(
    folders: Annotated[list[Path], typer.Argument(help="run folders, or folders of runs")],
    json_file: JsonFile = None,
) -> None:
    """A line for each run in and below the folders."""
    from kia.training.run_log import find_runs, read_run

    runs = [read_run(path) for path in find_runs(folders)]
    _print_scores(_named(runs))
    _write(json_file, {"runs": [_summary(run) for run in runs]})


@app.command("show")
def show(
    run: Annotated[Path, typer.Argument(help="run folder")],
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """One run: its validations, its curves, what is wrong with it."""
    from kia.training.run_log import read_run

    _check_plot(plot_file)
    record = read_run(run)
    _print_head(record)
    _print_validations(record)
    _print_curves(record)
    for warning in _warnings(record):
        console.out.print(f"warning: {warning.text}", style="bold red", soft_wrap=True)
        console.out.print(f"    try: {warning.advice}", soft_wrap=True)
    content = _summary(record) | {"config": record.config, "environment": record.environment}
    _write(json_file, content | {"validations": record.validations})
    _draw({str(run): record}, plot_file)


@app.command("compare")
def compare(
    runs: Annotated[list[Path], typer.Argument(help="run folders, or folders of runs")],
    json_file: JsonFile = None,
    plot_file: PlotFile = None,
) -> None:
    """Runs side by side: where their configurations differ, scores, speed and curves."""
    from kia.training.run_log import config_differences, find_runs, read_run

    _check_plot(plot_file)
    records = [read_run(path) for path in find_runs(runs)]
    if len(records) < 2:
        raise UsageError("one run alone: use kia runs show")
    named = _named(records)
    different = config_differences(records)
    if different:
        rows = [[key, *map(_plain, values)] for key, values in different.items()]
        console.table(["configuration", *named], rows)
    else:
        console.out.print("same configuration and data")
    _print_scores(named)
    for name, record in named.items():
        for warning in _warnings(record):
            console.out.print(f"{name}: {warning.text}", style="bold red", soft_wrap=True)
    content = {"runs": [_summary(record) for record in records], "differences": different}
    _write(json_file, content)
    _draw(named, plot_file)


def _print_scores(runs: "dict[str, RunRecord]") -> None:
    heads = [
        "state",
        "epoch",
        "kept",
        "CIDEr",
        "image gain",
        "loss",
        "reports",
        "time",
        "st/s",
        "!",
    ]
    console.table(
        ["run", *heads],
        [[name, *_scores(run)] for name, run in runs.items()],
        title="validation of the models kept; curves: all validations; !: warnings (kia runs show)",
    )


def _scores(run: "RunRecord") -> list[object]:
    kept, speed = run.kept, run.studies_per_second
    return [
        run.state,
        f"{run.epoch}/{run.epochs}",
        kept and kept["epoch"],
        *(_with_curve(run, name) for name in ("cider", "image_gain", "loss")),
        kept and f"{kept['unique_reports']}/{kept['studies']}",
        duration(run.seconds),
        speed and f"{speed:.1f}",
        len(_warnings(run)) or None,
    ]


def _with_curve(run: "RunRecord", name: str) -> str | None:
    if run.kept is None:
        return None
    return f"{run.kept[name]:.3f} {sparkline([line[name] for line in run.validations], 6)}"


def _print_head(run: "RunRecord") -> None:
    speed = f", {run.studies_per_second:.1f} studies/s" if run.studies_per_second else ""
    console.out.print(
        f"{run.path}: {run.state}, epoch {run.epoch} of {run.epochs}, "
        f"{duration(run.seconds)} of training steps{speed}; data {run.data['path']}",
        soft_wrap=True,
    )


def _print_validations(run: "RunRecord") -> None:
    columns = ("epoch", "stage", "cider", "unique_reports", "studies", "loss", "image_gain")
    rows = [
        [*map(line.get, columns), "kept" if line is run.kept else ""] for line in run.validations
    ]
    if rows:
        heads = ["epoch", "stage", "CIDEr", "reports", "of studies", "loss", "image gain", ""]
        console.table(heads, rows, title="validation")


def _print_curves(run: "RunRecord") -> None:
    names = dict.fromkeys(name for line in run.training for name in line)
    hidden = ("kind", "stage", "epoch", "step")
    rows = []
    for name in (name for name in names if name not in hidden):
        values = [line[name] for line in run.training if name in line]
        rows.append([name, values[0], values[-1], sparkline(values, 40)])
    if rows:
        console.table(["training", "first", "last", "curve"], rows)


def _summary(run: "RunRecord") -> dict[str, Any]:
    return {
        "run": str(run.path),
        "state": run.state,
        "epoch": run.epoch,
        "epochs": run.epochs,
        "kept": run.kept,
        "training_seconds": run.seconds,
        "studies_per_second": run.studies_per_second,
        "skipped_steps": sum(line["kind"] == "skipped" for line in run.log),
        "warnings": [vars(warning) for warning in _warnings(run)],
        "data": run.data,
    }


def _warnings(run: "RunRecord") -> list[Any]:
    from kia.training.health import health_warnings

    return health_warnings(run.log, finished=run.state == "finished")


def _named(runs: "Sequence[RunRecord]") -> "dict[str, RunRecord]":
    """The runs by their paths, without what these have in common at the start."""
    parts = [run.path.absolute().parts for run in runs]
    common = 0
    while all(len(part) > common + 1 and part[common] == parts[0][common] for part in parts):
        common += 1
    return {"/".join(part[common:]): run for part, run in zip(parts, runs, strict=True)}


def _plain(value: object) -> str | None:
    return None if value is None else str(value)


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve of at most `width` characters, each a mean of neighbours; "" without values."""
    values = [value for value in values if math.isfinite(value)]
    count = min(width, len(values))
    edges = [len(values) * place // count for place in range(count + 1)] if count else []
    means = [fmean(values[start:end]) for start, end in pairwise(edges)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    if low == high:
        return BARS[3] * count
    return "".join(BARS[round((mean - low) / (high - low) * (len(BARS) - 1))] for mean in means)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _check_plot(file: Path | None) -> None:
    if file is None:
        return
    from kia.training.run_plot import require_matplotlib

    console.check_picture(file, "--plot")
    require_matplotlib()


def _write(file: Path | None, content: object) -> None:
    if file:
        console.write_json(file, content)


def _draw(runs: "dict[str, RunRecord]", file: Path | None) -> None:
    if file:
        from kia.training.run_plot import draw_runs

        draw_runs(runs, file)
        console.out.print(f"picture: {file}", soft_wrap=True)
