"""`kia data`: prepare and inspect data sets."""

import os
from pathlib import Path
from typing import Annotated

import typer

from kia.cli.data.check import print_check
from kia.cli.data.iu_xray import iu_xray
from kia.cli.data.labelled import chexpert, nih
from kia.cli.data.manifest import manifest
from kia.cli.data.mimic_cxr import mimic_cxr
from kia.cli.data.options import Out, Overwrite, Size, Workers, print_counts

app = typer.Typer(no_args_is_help=True, help="Prepare and inspect data sets.")


@app.command()
def phantom(
    out: Out,
    studies: Annotated[int, typer.Option("--studies", min=1, help="how many")] = 1000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="other seed, other studies")] = 0,
    size: Size = 128,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Generate synthetic studies whose findings, masks and landmarks are known."""
    from kia.cli.console import progress
    from kia.data.readers.phantoms import write_phantoms
    from kia.data.store.dataset import DatasetWriter, PreparedDataset

    if workers is None:
        workers = 1 if studies < 64 else os.cpu_count() or 1
    writer = DatasetWriter(
        out, image_size=size, source=f"phantom (seed {seed})", overwrite=overwrite
    )
    with writer, progress() as bar:
        task = bar.add_task("phantoms", total=studies)
        write_phantoms(writer, studies, seed, workers=workers, advance=lambda: bar.advance(task))
    print_counts(PreparedDataset.open(out))


app.command("iu-xray")(iu_xray)
app.command("mimic-cxr")(mimic_cxr)
app.command()(nih)
app.command()(chexpert)
app.command()(manifest)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a prepared data set")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="also write the tables as JSON")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="also draw a contact sheet, a PNG")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="fail if a patient or an image is in two splits")
    ] = False,
) -> None:
    """Read a data set once: is it whole, what does it hold, what do its splits share?"""
    from kia.cli.console import out, progress, write_json
    from kia.data.picture import contact_sheet
    from kia.data.store.check import check_dataset
    from kia.data.store.dataset import PreparedDataset
    from kia.errors import DataError

    dataset = PreparedDataset.open(folder)
    if sheet is not None:
        _picture_file(sheet)
    with progress() as bar:
        task = bar.add_task("studies", total=len(dataset))
        result = check_dataset(dataset, lambda: bar.advance(task))
    print_check(result)
    if json_file is not None:
        write_json(json_file, result)
    if sheet is not None:
        contact_sheet(dataset).save(sheet, format="PNG")
        out.print(f"wrote {sheet}")
    if strict and (result["patients_in_two_splits"] or result["images_in_two_splits"]):
        raise DataError(f"{folder}: its splits share patients or images")


@app.command()
def merge(
    parts: Annotated[list[Path], typer.Argument(metavar="DIR...", help="all parts of a data set")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Make one data set of the parts that --part prepared, in any order."""
    from kia.cli.console import out as console
    from kia.data.store.merge import merge_parts

    dataset, is_new = merge_parts(parts, out, overwrite=overwrite)
    if not is_new:
        console.print(f"{out} holds these parts already")
    print_counts(dataset)


@app.command()
def mix(
    sources: Annotated[list[Path], typer.Argument(metavar="DIR...", help="prepared data sets")],
    out: Out,
    ratio: Annotated[
        str | None,
        typer.Option("--ratio", metavar="N:N", help="studies of each in a batch, as in 2:1"),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make one data set of several, such as reports of one hospital and labels of another."""
    from kia.cli.console import out as console
    from kia.data.store.mix import mix_datasets, parse_ratio

    shares = None if ratio is None else parse_ratio(ratio)
    dataset = mix_datasets(sources, out, ratio=shares, overwrite=overwrite)
    for source in dataset.info["settings"]["mix"]:
        console.print(
            f"{source['name']}: {source['studies']:,} studies, {source['share']} parts of a batch "
            f"(content hash {source['content_hash'][:12]}…)"
        )
    print_counts(dataset)


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
    from kia.data.store.dataset import PreparedDataset

    dataset = PreparedDataset.open(folder)
    index = dataset.index_of(study_id)
    file = file or Path(f"{study_id.replace('/', '_')}.png")
    _picture_file(file)
    study_picture(dataset.study(index), dataset.pixels(index)).save(file, format="PNG")
    out.print(f"wrote {file}")


def _picture_file(file: Path) -> None:
    from kia.cli.console import check_picture

    check_picture(file)
    file.parent.mkdir(parents=True, exist_ok=True)
