"""`kia bench`: speed on this machine, as ratios and shares."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kia.cli import console
from kia.cli.columns import IdColumn, ReportColumn

app = typer.Typer(no_args_is_help=True, help="Speed on this machine, as ratios and shares.")


@app.command("step")
def step(
    preset: Annotated[str, typer.Argument(help="preset or YAML file")] = "small",
    batch: Annotated[int, typer.Option(min=2, help="studies a step")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="steps of each implementation")] = 5,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value of the preset")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what is shown")] = None,
) -> None:
    """Compare a joint training step with the plain implementation, and with the machine's peak."""
    from kia.bench.step import bench_step
    from kia.config import load_config

    config = load_config(preset, [*(overrides or []), f"train.batch_size={batch}"])
    console.quiet_libraries()
    with console.progress() as bar:
        task = bar.add_task("rounds", total=rounds + 1)
        found = bench_step(config, rounds=rounds, on_round=lambda _: bar.advance(task))
    _print(preset, found)
    if json_file:
        console.write_json(json_file, {"preset": preset} | found)


@app.command("generate")
def generate(
    preset: Annotated[str, typer.Argument(help="preset or YAML file")] = "small",
    batch: Annotated[int, typer.Option(min=1, help="studies decoded together")] = 32,
    beams: Annotated[int, typer.Option(min=1, help="beam width")] = 3,
    tokens: Annotated[int, typer.Option(min=1, help="tokens of every report")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="times of each")] = 3,
    blip: Annotated[bool, typer.Option(help="time BLIP of transformers too")] = True,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="change a value of the preset")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what is shown")] = None,
) -> None:
    """Compare decoding with and without caches, and with BLIP of the same sizes."""
    from kia.bench.decoding import bench_generate
    from kia.config import load_config

    config = load_config(preset, overrides or [])
    console.quiet_libraries()
    with console.progress() as bar:
        task = bar.add_task("rounds", total=rounds + 1)
        found = bench_generate(
            config,
            studies=batch,
            beams=beams,
            tokens=tokens,
            rounds=rounds,
            blip=blip,
            on_round=lambda _: bar.advance(task),
        )
    console.out.print(
        f"{preset}: {batch} studies, one view, beam {beams}, {tokens} tokens by force, "
        f"{found['threads']} threads, torch {found['torch']}; "
        "the same tokens with and without caches"
    )
    names = {"cached": "kia", "uncached": "kia without caches", "blip": "BLIP of transformers"}
    console.table(
        ["", "seconds", "ratio to kia"],
        [
            [title, found[name], found.get(f"{name}_ratio")]
            for name, title in names.items()
            if name in found
        ],
    )
    if json_file:
        console.write_json(json_file, {"preset": preset} | found)


@app.command("data")
def data(
    preset: Annotated[str, typer.Argument(help="preset or YAML file")] = "small",
    prepared: Annotated[
        Path | None, typer.Option("--data", help="prepared data set; phantoms if absent")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="folder or 'pattern' of image files; drawn JPEGs if absent"),
    ] = None,
    studies: Annotated[int, typer.Option(min=1, help="studies of an epoch")] = 256,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what is shown")] = None,
) -> None:
    """Compare an epoch through the loader with decoding image files."""
    from kia.bench.rates import bench_data
    from kia.cli.image_input import given_studies
    from kia.config import load_config

    given = given_studies([images], None) if images else []
    files = [Path(image.path) for study in given for image in study.images][: 2 * studies]
    with console.err.status("loading and decoding"):
        found = bench_data(load_config(preset), data=prepared, images=files, studies=studies)
    wide, high = found["file_pixels"]
    console.table(
        ["", "studies a second", "times decoding"],
        [
            ["loader, with masks and augmentation", found["loaded_per_second"], found["ratio"]],
            ["images as they lie", found["pixels_per_second"], found["pixels_ratio"]],
            [f"files of {wide} × {high} pixels decoded", found["decoded_per_second"], 1.0],
        ],
    )
    if json_file:
        console.write_json(json_file, {"preset": preset} | found)


@app.command("knowledge")
def knowledge(
    reports: Annotated[
        Path | None,
        typer.Argument(metavar="IN", help="reports (.txt, table, folder); phantoms' if absent"),
    ] = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what is shown")] = None,
) -> None:
    """Time the labeler and the graph extractor on one core."""
    from kia.bench.rates import bench_knowledge, phantom_reports
    from kia.tables.reports import read_reports

    named = {"id_column": id_column, "report_column": report_column}
    given = read_reports(reports, **named) if reports else []
    texts = [text for _, text in given] or phantom_reports(500)
    with console.err.status("reading reports"):
        found = bench_knowledge(texts)
    console.table(
        ["", "reports a second"],
        [
            ["labels", found["labels_per_second"]],
            ["graphs", found["graphs_per_second"]],
        ],
        title=f"{found['reports']:,} reports, {found['different']:,} different, one core",
    )
    if json_file:
        console.write_json(json_file, found)


def _print(preset: str, found: dict[str, Any]) -> None:
    console.out.print(
        f"{preset}: {found['studies']} studies a step, two views, {found['tokens']} word pieces, "
        f"{found['dtype']}, {found['threads']} threads; {found['device']}, torch {found['torch']}"
    )
    rows = [
        ["studies a second", f"{found['studies_per_second']:.2f}"],
        ["seconds a step, kia", f"{found['step_seconds']:.3f}"],
        ["seconds a step, plain", f"{found['plain_step_seconds']:.3f}"],
        [
            "plain / kia (range of rounds)",
            f"{found['ratio']:.2f} ({found['ratio_low']:.2f} to {found['ratio_high']:.2f})",
        ],
        ["bound of that ratio, by operations", f"{found['ratio_bound']:.2f}"],
        ["share of the bound", f"{found['ratio'] / found['ratio_bound']:.0%}"],
        ["operations a study, kia", f"{found['operations_per_study'] / 1e9:.2f} G"],
        ["operations a study, plain", f"{found['plain_operations_per_study'] / 1e9:.2f} G"],
        ["peak of matrix products", f"{found['peak_operations_per_second'] / 1e9:.0f} G a second"],
        ["share of the peak, kia", f"{found['peak_share']:.0%}"],
        ["share of the peak, plain", f"{found['plain_peak_share']:.0%}"],
        ["memory, kia", f"{found['peak_memory'] / 1e6:.0f} MB"],
        ["memory, plain / kia", f"{found['memory_ratio']:.2f}"],
        ["a batch from the data set, of a step", _share(found)],
    ]
    console.table(["", ""], rows)
    for title, name in (("part", "time_by_part"), ("task", "time_by_task")):
        if found[name]:
            console.table(
                [f"time by {title}", "share"],
                [[part, f"{share:.1%}"] for part, share in found[name].items()],
            )
    tasks = found["operations_by_task"], found["plain_operations_by_task"]
    console.table(
        ["G operations a study", "kia", "plain"],
        [
            [name, *(f"{each.get(name, 0) / 1e9:.3f}" for each in tasks)]
            for name in dict.fromkeys([*tasks[0], *tasks[1]])
        ],
    )


def _share(found: dict[str, Any]) -> str:
    return f"{found['load_share']:.1%}"
