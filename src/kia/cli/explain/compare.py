"""`kia explain compare`: reports of systems beside the reference (Paper: Fig. 6, 11)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.cli import console
from kia.cli.columns import IdColumn, ReferenceColumn, ReportColumn
from kia.cli.image_input import Data, SplitOf, check_split
from kia.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from kia.explain.comparison.sentences import ComparedSentence

Reports = Mapping[str, str]


def compare(
    reports: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE…",
            help="reports of systems: a table, JSON lines or text, by study id",
        ),
    ],
    data: Data = None,
    split: SplitOf = "test",
    references: Annotated[
        Path | None, typer.Option(help="file of the references, instead of --data")
    ] = None,
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    reference_column: ReferenceColumn = None,
    study_id: Annotated[
        list[str] | None, typer.Option("--id", help="show this study; repeatable")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="studies shown where no --id is given")] = 3,
    html: Annotated[
        Path | None, typer.Option("--html", help="write the studies shown as a web page")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="write the first study shown as a PNG")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the numbers, without texts")
    ] = None,
) -> None:
    """Show which sentences say the same as the reference and which contradict it (Figures 6, 11).

    The table counts them over all studies that the reference and every system have.
    """
    if bool(data) == bool(references):
        raise UsageError("name the references: --data DIR or --references FILE, and not both")
    check_split(split)
    if html and html.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--html {html}: use a name that ends in .html")
    if file:
        console.check_picture(file)
    from kia.evaluation.predictions import read_reports, read_reports_for
    from kia.evaluation.reports.columns import Choice

    files = named_files(reports)
    if references:
        truth = read_reports(references, "references", Choice(id_column, reference_column))
    else:
        truth = _of_data(data, split)
    choice = Choice(id_column, report_column)
    systems = {name: read_reports_for(path, truth, choice) for name, path in files.items()}
    ids = _shared(truth, systems)
    chosen = _chosen(ids, truth, study_id, show)
    for id in chosen:
        _print(id, _columns(id, truth, systems))
    scores = _scores(ids, truth, systems)
    _table(scores, len(ids))
    if html:
        _write_page(html, chosen, truth, systems, data)
    if file and chosen:
        from kia.explain.comparison.picture import draw_comparison

        file.parent.mkdir(parents=True, exist_ok=True)
        draw_comparison(_columns(chosen[0], truth, systems), file)
        console.out.print(f"wrote {file}")
    if json_file:
        console.write_json(json_file, _numbers(ids, truth, systems, scores))


def named_files(reports: Sequence[str]) -> dict[str, Path]:
    """Name → file; a file without a name goes by its own."""
    found: dict[str, Path] = {}
    for word in reports:
        name, equals, path = word.partition("=")
        if not equals or Path(word).exists():
            name, path = Path(word).stem, word
        if not name or name in found or name == "reference":
            raise UsageError(f"{word}: give every system a name of its own, as in gpt4={path}")
        found[name] = Path(path)
    return found


def _of_data(data: Path | None, split: str) -> dict[str, str]:
    from kia.data.store.dataset import PreparedDataset

    assert data is not None
    dataset = PreparedDataset.open(data)
    ids = dataset.ids(split)  # type: ignore[arg-type]
    return dict(zip(ids, dataset.reports(split), strict=True))  # type: ignore[arg-type]


def _shared(truth: Reports, systems: Mapping[str, Reports]) -> list[str]:
    """Ids that all have, in the order of the references."""
    for name, found in systems.items():
        if not truth.keys() & found.keys():
            raise DataError(f"{name}: none of its ids is one of the references'; is it the split?")
        if missing := len(truth.keys() - found.keys()):
            console.show_warning(f"{name} lacks {missing} of the {len(truth)} references")
    ids = [id for id in truth if all(id in found for found in systems.values())]
    if not ids:
        raise DataError("no study has a report of every system")
    return ids


def _chosen(
    ids: Sequence[str], truth: Reports, wanted: Sequence[str] | None, show: int
) -> list[str]:
    for id in wanted or ():
        if id not in ids:
            where = "a system has no report of it" if id in truth else "no such reference"
            raise DataError(f"--id {id}: {where}")
    return list(wanted or ids[:show])


def _columns(id: str, truth: Reports, systems: Mapping[str, Reports]) -> dict[str, str]:
    return {"reference": truth[id], **{name: found[id] for name, found in systems.items()}}


def _print(id: str, columns: Reports) -> None:
    from rich import box
    from rich.table import Table

    from kia.explain.comparison.page import reference_sentences
    from kia.explain.comparison.sentences import compare_reports

    grid = Table(title=id, box=box.SIMPLE, title_justify="left", padding=(0, 2, 0, 0))
    cells = []
    for number, (name, report) in enumerate(columns.items()):
        grid.add_column(name, ratio=1)
        reference = columns["reference"]
        found = compare_reports(report, reference) if number else reference_sentences(reference)
        cells.append(_styled(found))
    grid.add_row(*cells)
    console.out.print(grid)


def _styled(compared: "Sequence[ComparedSentence]") -> "Text":
    from rich.text import Text

    from kia.explain.comparison.page import colour_of, marks, shown_text

    text = Text()
    for one in compared:
        same, against = marks(one)
        ground = f"black on {colour_of(one.same[0])}" if same else ""
        text.append(shown_text(one), style=f"{ground}{' underline' if against else ''}".strip())
        signs = " ".join(filter(None, (same, against)))
        text.append(f" [{signs}]\n" if signs else "\n", style="bold")
    return text


def _scores(
    ids: Sequence[str], truth: Reports, systems: Mapping[str, Reports]
) -> dict[str, dict[str, Any]]:
    from kia.explain.comparison.sentences import comparison_measure

    found = {}
    refs = [truth[id] for id in ids]
    for name, reports in systems.items():
        measure = comparison_measure([reports[id] for id in ids], refs)
        intervals = measure.intervals()
        found[name] = {
            key: {"share": value, "interval": intervals[key]}
            for key, value in measure.values().items()
        }
    return found


def _table(scores: Mapping[str, Mapping[str, Any]], studies: int) -> None:
    titles = {
        "said": "of the reference, said",
        "supported": "of the report, in the reference",
        "contradicting": "of the report, contradicting",
    }
    rows = [
        [name, *("{:.3f} ({:.3f}–{:.3f})".format(o["share"], *o["interval"]) for o in one.values())]
        for name, one in scores.items()
    ]
    title = f"share of sentences, {studies} studies (95 % interval over studies)"
    console.table(["system", *titles.values()], rows, title=title)


def _write_page(
    html: Path,
    ids: Sequence[str],
    truth: Reports,
    systems: Mapping[str, Reports],
    data: Path | None,
) -> None:
    from kia.evaluation.prepared import study_images
    from kia.explain.comparison.page import compared_block, comparison_page

    views = study_images(data) if data else lambda id: []
    blocks = [compared_block(id, _columns(id, truth, systems), views(id)) for id in ids]
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(comparison_page(blocks, "Reports beside the reference"), encoding="utf-8")
    console.out.print(f"wrote {html}")


def _numbers(
    ids: Sequence[str], truth: Reports, systems: Mapping[str, Reports], scores: Mapping[str, Any]
) -> dict[str, Any]:
    """Scores, and for each study and system what each sentence has to do with the reference's."""
    from kia.explain.comparison.sentences import compare_reports

    def places(report: str, reference: str) -> list[dict[str, Any]]:
        return [
            {
                "same": [place + 1 for place in one.same],
                "against": {str(place + 1): kind for place, kind in one.against.items()},
            }
            for one in compare_reports(report, reference)
        ]

    studies = {
        id: {name: places(found[id], truth[id]) for name, found in systems.items()} for id in ids
    }
    return {"studies": len(ids), "scores": scores, "sentences": studies}
