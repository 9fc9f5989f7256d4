"""`kia hub`: a model card, and the upload to the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer

from kia.cli import console
from kia.cli.trained import Model

app = typer.Typer(no_args_is_help=True, help="Share a model: its card, and the Hugging Face hub.")


@app.command()
def card(
    model: Model,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="of `kia evaluate --json`; results.json of the run"),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="of the weights, as the hub names it, such as cc-by-nc-4.0")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a card")] = False,
) -> None:
    """Write README.md into the model folder: data, scores, limits, how to load it."""
    console.quiet_libraries()
    from kia.hub.publish import write_card

    file = write_card(model, results=results, licence=licence, overwrite=overwrite)
    console.out.print(str(file), soft_wrap=True)


@app.command()
def push(
    model: Model,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="on the hub")],
    public: Annotated[
        bool, typer.Option("--public", help="let everyone see a new repository")
    ] = False,
) -> None:
    """Upload the model's own files and its card; log in with `hf auth login` or HF_TOKEN."""
    console.quiet_libraries()
    from kia.hub.publish import push as upload

    console.out.print(upload(model, repository, public=public), soft_wrap=True)
