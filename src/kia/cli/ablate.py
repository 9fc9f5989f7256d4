"""`kia ablate`: a table of the paper, its settings run one after another."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli import console
from kia.cli.evaluate.command import (
    Cleaning,
    JsonFile,
    LatexFile,
    MarkdownFile,
    check_cleaning,
    check_files,
    write_page,
)
from kia.cli.image_input import DataSet, split_studies
from kia.cli.train import ProgressReporter, training_progress
from kia.errors import UsageError
from kia.studies import SPLITS

if TYPE_CHECKING:
    from kia.ablations.runs import PlannedRun

TABLES = ("table1", "table2", "table3", "table4", "table5", "fig5")


def ablate(
    table: Annotated[str, typer.Argument(help=", ".join(TABLES))],
    preset: Annotated[str, typer.Option(help="what the settings change: a preset or YAML file")],
    data: DataSet,
    out: Annotated[Path, typer.Option(help="folder of all runs; tables may share it")],
    seeds: Annotated[int, typer.Option(min=1, help="training seeds of each setting")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="these settings alone; a wrong name lists them"),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value in all settings")
    ] = None,
    split: Annotated[str, typer.Option(help="split that is scored, test or val")] = "test",
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="labels of the references, instead of kia's labeler"),
    ] = None,
    dataset: Cleaning = None,
    json_file: JsonFile = None,
    markdown_file: MarkdownFile = None,
    latex_file: LatexFile = None,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="fig5: the picture; OUT/fig5.png if absent"),
    ] = None,
) -> None:
    """Train, score and compare the settings of a table of the paper; give it again to continue."""
    from kia.ablations.results import ablation_result
    from kia.ablations.runs import Target, scored_runs
    from kia.ablations.tables import ablation_page
    from kia.cli.console import out as screen
    from kia.cli.console import quiet_libraries
    from kia.config import load_config
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.board.rendering import render
    from kia.evaluation.language.protocols import dataset_style

    _check_options(table, split, dataset, plot_file)
    check_files(json=json_file, markdown=markdown_file, latex=latex_file, plot=plot_file)
    picture = _picture(table, plot_file, out)
    rows = _chosen(table, _plan(table, preset, overrides or [], seeds, out), only or [])
    prepared = PreparedDataset.open(data)
    split_studies(prepared, split)  # refuses one that has none
    base = load_config(preset, overrides or [])
    cleaning = dataset or dataset_style(prepared.info["source"])
    target = Target(out, base, data, prepared.info["content_hash"], split, cleaning, labels)
    quiet_libraries()
    plan = {run.folder: run for runs in rows.values() for run in runs}
    scores = scored_runs(list(plan.values()), target, _Screen())
    if scores is None:
        return
    found = ablation_result(
        table, {setting: [scores[run.folder] for run in runs] for setting, runs in rows.items()}
    )
    found |= {"preset": preset, "set": overrides or [], "select_by": base.train.select_by}
    page = ablation_page(found)
    write_page(page, found, json_file, markdown_file, latex_file)
    screen.print(render(page))
    if picture:
        from kia.ablations.figure import draw_observations

        draw_observations(found, picture)
        screen.print(f"picture: {picture}", soft_wrap=True)


class _Screen:
    """Shows an ablation on the terminal; see `kia.ablations.runs.Watcher`."""

    def note(self, text: str) -> None:
        console.err.print(text)

    def training(self) -> "AbstractContextManager[ProgressReporter]":
        return training_progress()

    def writing(self) -> "AbstractContextManager[Callable[[str, int], Callable[[int], None]]]":
        return console.tracked()

    def scoring(self, runs: int) -> "AbstractContextManager[object]":
        return console.err.status(f"scoring {runs} runs…")


def _check_options(table: str, split: str, dataset: str | None, plot_file: Path | None) -> None:
    if table not in TABLES:
        raise UsageError(f"no ablation {table!r}: use one of {', '.join(TABLES)}")
    if split not in SPLITS[1:]:
        raise UsageError(f"--split {split}: use val or test")
    check_cleaning(dataset)
    if plot_file is not None and table != "fig5":
        raise UsageError("--plot goes with fig5; the tables have --json, --markdown and --latex")
    if plot_file is not None:
        from kia.cli.console import check_picture

        check_picture(plot_file, "--plot")


def _picture(table: str, plot_file: Path | None, out: Path) -> Path | None:
    """Where Figure 5 goes; None for a table."""
    if table != "fig5":
        return None
    from kia.ablations.figure import require_matplotlib

    require_matplotlib()
    return plot_file or out / "fig5.png"


def _chosen(
    table: str, rows: "dict[str, list[PlannedRun]]", only: list[str]
) -> "dict[str, list[PlannedRun]]":
    """The rows of `--only`, in the order of the table; all without it."""
    from kia.ablations.settings import ABLATIONS

    for name in only:
        if name not in rows:
            raise UsageError(f"--only {name}: {table} has the settings {', '.join(rows)}")
    baseline = ABLATIONS[table].baseline
    if only and baseline and baseline not in only:
        raise UsageError(f"--only: {table} compares with {baseline}; add --only {baseline}")
    return {name: runs for name, runs in rows.items() if not only or name in only}


def _plan(
    table: str, preset: str, overrides: list[str], seeds: int, out: Path
) -> "dict[str, list[PlannedRun]]":
    """Setting → its runs; settings that are equal under this preset share theirs."""
    from kia.ablations.runs import PlannedRun
    from kia.ablations.settings import setting_configs
    from kia.cli.train import with_seed

    rows = {}
    for setting, (folder, config) in setting_configs(table, preset, overrides).items():
        first = config.train.seed
        rows[setting] = [
            PlannedRun(
                folder, seed, with_seed(config, seed), out / "runs" / folder / f"seed-{seed}"
            )
            for seed in range(first, first + seeds)
        ]
    return rows
