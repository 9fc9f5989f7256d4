"""The options that name the columns of a table."""

from typing import Annotated

import typer

IdColumn = Annotated[
    str | None, typer.Option("--id-column", metavar="NAME", help="column of a table with the ids")
]
ReportColumn = Annotated[
    str | None,
    typer.Option(
        "--report-column", "--column", metavar="NAME", help="column of a table with the reports"
    ),
]
ReferenceColumn = Annotated[
    str | None,
    typer.Option(
        "--reference-column", metavar="NAME", help="column of a table with the references"
    ),
]
