"""`kia knowledge`: labels, graphs and key patches for any reports or boxes."""

import typer

from kia.cli.knowledge.atlas import atlas
from kia.cli.knowledge.graph import graph
from kia.cli.knowledge.label import label
from kia.cli.knowledge.show import show
from kia.cli.knowledge.structure import structure

app = typer.Typer(
    no_args_is_help=True,
    help="Labels, graphs, organs, landmarks, masks: what a radiologist knows.",
)

app.command()(atlas)
app.command()(graph)
app.command()(label)
app.command()(show)
app.command()(structure)
