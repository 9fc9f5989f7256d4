"""`kia explain`: the paper's figures."""

import typer

from kia.cli.explain.attention import attention
from kia.cli.explain.compare import compare
from kia.cli.explain.gallery import gallery
from kia.cli.explain.match import match
from kia.cli.explain.patches import patches
from kia.cli.explain.reconstruct import reconstruct
from kia.cli.explain.words import words

app = typer.Typer(no_args_is_help=True, help="See what the model and its knowledge look at.")

app.command()(attention)
app.command()(compare)
app.command()(gallery)
app.command()(match)
app.command()(patches)
app.command()(reconstruct)
app.command()(words)
