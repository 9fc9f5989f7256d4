"""`kia explain`: the paper's figures."""

import typer

from kia.cli.explain_attention import attention
from kia.cli.explain_compare import compare
from kia.cli.explain_gallery import gallery
from kia.cli.explain_match import match
from kia.cli.explain_patches import patches
from kia.cli.explain_reconstruct import reconstruct
from kia.cli.explain_words import words

app = typer.Typer(no_args_is_help=True, help="See what the model and its knowledge look at.")

app.command()(attention)
app.command()(compare)
app.command()(gallery)
app.command()(match)
app.command()(patches)
app.command()(reconstruct)
app.command()(words)
