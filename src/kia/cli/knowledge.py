"""`kia knowledge`: labels, graphs and key patches for any reports or boxes."""

import typer

app = typer.Typer(
    no_args_is_help=True, help="Labels, graphs, landmarks and masks: what a radiologist knows."
)
