"""`kia knowledge structure`: any reports organ by organ."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kia.cli.columns import IdColumn, ReportColumn
from kia.cli.knowledge.given import Language, given_reports, unread

if TYPE_CHECKING:
    from kia.knowledge.structure import OrganLine


def structure(
    reports: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="a .txt file (a report a line), a table, or a folder of .txt files"
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="OUT.jsonl", help="the organs, a JSON line a report"),
    ] = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    language: Language = "en",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="also write the table as JSON")
    ] = None,
) -> None:
    """Say of each organ what reports say of it: abnormal, uncertain, normal, not mentioned."""
    from kia.cli.console import json_text, progress, table, write_json
    from kia.cli.console import out as stdout
    from kia.knowledge.organs import ORGANS
    from kia.knowledge.structure import STATES, structure_report

    found = given_reports(reports, id_column, report_column, out, json_file)
    foreign = unread([text for _, text in found], language)
    read = {}
    with progress() as bar:
        for place, (key, text) in enumerate(bar.track(found, description="reports")):
            read[key] = structure_report("" if place in foreign else text)
    if out is None:
        _print(read)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        lines = (json_text({"id": key, "structured": organs}) for key, organs in read.items())
        out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    counts = {
        organ: Counter(organs[organ]["state"] for organs in read.values()) for organ in ORGANS
    }
    rows = [[organ, *(count[state] for state in STATES)] for organ, count in counts.items()]
    table(["organ", *STATES], rows, title=f"{len(found)} reports")
    if out:
        stdout.print(f"wrote {out}", soft_wrap=True)
    if json_file is not None:
        organs = {organ: {s: count[s] for s in STATES} for organ, count in counts.items()}
        left = dict(Counter(foreign.values()))
        write_json(json_file, {"reports": len(found), "left_out": left, "organs": organs})


def _print(read: "dict[str, dict[str, OrganLine]]") -> None:
    from kia.cli.console import one_line, out, table

    for key, organs in read.items():
        out.print(one_line(key), style="bold")
        rows = [[name, one["state"], " ".join(one["sentences"])] for name, one in organs.items()]
        table(["organ", "state", "sentences"], rows)
