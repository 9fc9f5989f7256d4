"""`kia knowledge label`: the 14 CheXpert observations of any reports."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kia.cli.columns import IdColumn, ReportColumn
from kia.cli.knowledge.given import Language, given_reports, unread
from kia.errors import UsageError

_BATCH = 256  # reports between two steps of the progress bar
_COUNTED = {"present": 1, "uncertain": -1, "absent": 0, "unmentioned": None}

Labels = dict[str, int | None]


class Labeler(StrEnum):
    """Who reads the reports."""

    rules = "rules"
    chexbert = "chexbert"


def label(
    reports: Annotated[
        Path,
        typer.Argument(
            metavar="IN", help="a .txt file (a report a line), a table, or a folder of .txt files"
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="OUT.csv", help="the labels, by report")],
    id_column: IdColumn = None,
    report_column: ReportColumn = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="print the words that gave each label")
    ] = False,
    labeler: Annotated[
        Labeler, typer.Option("--labeler", help="kia's rules, or CheXbert with your --weights")
    ] = Labeler.rules,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="chexbert.pth, with vocab.txt beside it")
    ] = None,
    language: Language = "en",
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="also write the table as JSON")
    ] = None,
) -> None:
    """Read the 14 CheXpert observations from reports: 1 present, 0 absent, -1 uncertain."""
    from kia.cli.console import out as stdout
    from kia.cli.console import table, write_json
    from kia.knowledge.chexpert import OBSERVATIONS, write_labels

    if labeler == Labeler.chexbert and weights is None:
        raise UsageError("--labeler chexbert needs --weights FILE, your chexbert.pth")
    if labeler == Labeler.rules and weights is not None:
        raise UsageError("--weights goes with --labeler chexbert")
    if labeler == Labeler.chexbert and explain:
        raise UsageError("--explain goes with the rules; CheXbert gives no reasons")
    found = given_reports(reports, id_column, report_column, out, json_file)
    texts = [text for _, text in found]
    foreign = unread(texts, language)
    labels = _rules(texts) if weights is None else _chexbert(texts, weights)
    for place in foreign:
        labels[place] = dict.fromkeys(OBSERVATIONS)
    write_labels(out, {key: one for (key, _), one in zip(found, labels, strict=True)})
    if explain:
        for place, (key, text) in enumerate(found):
            if place not in foreign:
                _explain(key, text)
    counts = {
        name: {word: sum(one[name] == v for one in labels) for word, v in _COUNTED.items()}
        for name in OBSERVATIONS
    }
    rows = [[name, *count.values()] for name, count in counts.items()]
    table(["observation", *_COUNTED], rows, title=f"{len(texts)} reports")
    stdout.print(f"wrote {out}", soft_wrap=True)
    if json_file is not None:
        left = dict(Counter(foreign.values()))
        write_json(json_file, {"reports": len(texts), "left_out": left, "observations": counts})


def _rules(texts: Sequence[str]) -> list[Labels]:
    from kia.cli.console import progress
    from kia.knowledge.labels.rules import label_reports
    from kia.knowledge.language import ANY

    labels: list[Labels] = []
    with progress() as bar:
        task = bar.add_task("labels", total=len(texts))
        for start in range(0, len(texts), _BATCH):
            labels += label_reports(texts[start : start + _BATCH], ANY)
            bar.update(task, completed=len(labels))
    return labels


def _chexbert(texts: Sequence[str], weights: Path) -> list[Labels]:
    from kia.cli.console import progress
    from kia.models.chexbert import load_chexbert

    model = load_chexbert(weights)
    with progress() as bar:
        task = bar.add_task("labels", total=len(texts))
        return model.label_reports(texts, advance=lambda count: bar.advance(task, count))


def _explain(key: str, text: str) -> None:
    """Every mention in a report: what it says, its words, the rule, and the resulting label."""
    from kia.cli.console import one_line, out, table
    from kia.knowledge.labels.rules import explain_report
    from kia.knowledge.language import ANY

    labels, reasons = explain_report(text, ANY)
    rows = [
        (
            r.observation,
            labels.get(r.observation),
            r.value,
            r.phrase,
            r.rule,
            " ".join(r.sentence.split()),
        )
        for r in reasons
    ]
    out.print(one_line(key), style="bold")
    if rows:
        table(["observation", "label", "says", "phrase", "rule", "sentence"], rows)
    else:
        out.print("  nothing is mentioned")
