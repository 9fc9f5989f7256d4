"""`kia explain`: the paper's figures."""

import typer

from kia.cli.explain_attention import attention
from kia.cli.explain_patches import patches

app = typer.Typer(no_args_is_help=True, help="See what the model and its knowledge look at.")

app.command()(attention)
app.command()(patches)
