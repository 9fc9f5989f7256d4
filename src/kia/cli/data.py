"""`kia data`: prepare and inspect data sets."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kia.data.store import PreparedDataset

app = typer.Typer(no_args_is_help=True, help="Prepare and inspect data sets.")


class ResizeMode(StrEnum):
    """How images become square."""

    squash = "squash"
    pad = "pad"


Out = Annotated[Path, typer.Option("--out", help="folder of the new data set")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the data set in --out")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="threads or processes; one a processor")
]


@app.command()
def phantom(
    out: Out,
    studies: Annotated[int, typer.Option("--studies", min=1, help="how many")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="other seed, other studies")] = 0,
    size: Annotated[int, typer.Option("--size", min=32, max=2048, help="pixels a side")] = 128,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Generate synthetic studies whose findings, masks and landmarks are known."""
    from kia.cli.console import progress
    from kia.data.phantom_store import write_phantoms
    from kia.data.store import DatasetWriter, PreparedDataset

    if workers is None:
        workers = 1 if studies < 64 else os.cpu_count() or 1
    writer = DatasetWriter(
        out, image_size=size, source=f"phantom (seed {seed})", overwrite=overwrite
    )
    with writer, progress() as bar:
        task = bar.add_task("phantoms", total=studies)
        write_phantoms(writer, studies, seed, workers=workers, advance=lambda: bar.advance(task))
    _print_counts(PreparedDataset.open(out))


@app.command("iu-xray")
def iu_xray(
    images: Annotated[Path, typer.Option("--images", help="folder of the images")],
    annotation: Annotated[Path, typer.Option("--annotation", help="R2Gen's annotation.json")],
    reports: Annotated[Path, typer.Option("--reports", help="indiana_reports.csv")],
    projections: Annotated[Path, typer.Option("--projections", help="indiana_projections.csv")],
    out: Out,
    size: Annotated[int, typer.Option("--size", min=32, max=2048, help="pixels a side")] = 256,
    resize: Annotated[
        ResizeMode, typer.Option("--resize", help="squash to a square, or pad with black")
    ] = ResizeMode.squash,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="accept other counts than 2,069/296/590")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="CheXpert labels (CSV) by study id")
    ] = None,
    graphs: Annotated[
        Path | None, typer.Option("--graphs", help="RadGraph graphs (JSON) by study id")
    ] = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Prepare IU X-Ray in the R2Gen split, with labels, graphs and landmarks of its reports."""
    from kia.cli.console import progress
    from kia.data.annotate import annotated, imported
    from kia.data.iu_xray import read_iu_xray, require_complete
    from kia.data.prepare import write_studies
    from kia.data.store import DatasetWriter, PreparedDataset

    writer = DatasetWriter(
        out, image_size=size, source="IU X-Ray", resize=resize.value, overwrite=overwrite
    )
    with writer, progress() as bar:
        found, rejects = read_iu_xray(
            images, annotation, reports, projections, complete=not incomplete
        )
        for reject in rejects:
            writer.reject(reject.what, reject.why)
        knowledge = imported(found, labels, graphs)
        task = bar.add_task("studies", total=len(found))
        lost = write_studies(
            writer,
            annotated(found, *knowledge),
            resize=resize.value,
            workers=workers,
            advance=lambda: bar.advance(task),
        )
        if not incomplete:
            require_complete(writer.counts, lost)
    _print_counts(PreparedDataset.open(out))


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a prepared data set")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="also write the table as JSON")
    ] = None,
) -> None:
    """Read a data set once: is it whole, and what does it hold?"""
    from kia.cli.console import out, progress, table, write_json
    from kia.data.check import check_dataset
    from kia.data.store import PreparedDataset

    dataset = PreparedDataset.open(folder)
    with progress() as bar:
        task = bar.add_task("studies", total=len(dataset))
        result = check_dataset(dataset, lambda: bar.advance(task))
    columns = list(result["splits"]["train"])
    rows = [[split, *values.values()] for split, values in result["splits"].items()]
    table(["split", *(name.replace("_", " ") for name in columns)], rows)
    _print_knowledge(result["knowledge"])
    out.print(f"{result['images_in_two_splits']} images occur in more than one split")
    out.print(f"{result['rejects']} inputs were left out (rejects.jsonl)")
    out.print(f"content verified: {result['hash']}")
    if json_file is not None:
        write_json(json_file, result)


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a prepared data set")],
    study_id: Annotated[str, typer.Argument(metavar="ID", help="a study of it")],
    file: Annotated[
        Path | None, typer.Option("--out", help="the picture; ID.png if absent")
    ] = None,
) -> None:
    """Draw a study: its views side by side, its report below."""
    from kia.cli.console import out
    from kia.data.picture import study_picture
    from kia.data.store import PreparedDataset
    from kia.errors import UsageError

    dataset = PreparedDataset.open(folder)
    index = dataset.index_of(study_id)
    file = file or Path(f"{study_id.replace('/', '_')}.png")
    if file.suffix.lower() != ".png":
        raise UsageError(f"{file}: the picture is a PNG; use a name that ends in .png")
    file.parent.mkdir(parents=True, exist_ok=True)
    study_picture(dataset.study(index), dataset.pixels(index)).save(file, format="PNG")
    out.print(f"wrote {file}")


def _print_knowledge(counts: "dict[str, dict[str, int]]") -> None:
    """How often knowledge-guided masks fall back to chance."""
    from kia.cli.console import table

    columns = list(next(iter(counts.values())))
    rows = [[split, *found.values()] for split, found in counts.items()]
    table(
        ["split", *(name.replace("_", " ") for name in columns)],
        rows,
        title="where knowledge is silent, masks fall back to chance",
    )


def _print_counts(dataset: "PreparedDataset") -> None:
    from kia.cli.console import out, table

    info = dataset.info
    table(["split", "studies"], info["counts"].items())
    views = ", ".join(f"{count:,} {view}" for view, count in info["images"].items())
    out.print(f"{views} images of {info['image_size']} × {info['image_size']} pixels")
    rejects = f"{info['rejects']} inputs were left out"
    out.print(f"{rejects}: see {dataset.path / 'rejects.jsonl'}" if info["rejects"] else rejects)
