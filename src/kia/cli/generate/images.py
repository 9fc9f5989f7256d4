"""Reports for image files: as text, as a JSON file, or as a JSON line a study."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kia.cli import console
from kia.cli.image_input import warn_of
from kia.errors import DataError
from kia.studies import Study

if TYPE_CHECKING:
    from kia.reporting.model import KIA
    from kia.reporting.report import Report


@dataclass(frozen=True)
class Asked:
    """How reports are written and shown.

    Attributes:
        form: Of the text, "prose" or "structured".
        evidence: Whether what stands behind each sentence is shown.
        candidates: Whether the reports are shown among which each was chosen.
        seed: Of the candidates that are drawn.
        anyway: Whether what is probably no chest X-ray gets a report too.
    """

    form: str = "prose"
    evidence: bool = False
    candidates: bool = False
    seed: int = 0
    anyway: bool = False


def write_image_reports(
    kia: "KIA", studies: Sequence[Study], asked: Asked, json_file: Path | None = None
) -> "list[Report]":
    """Prints the reports of studies, all of which are decoded first; a bad file costs no time.

    Returns:
        Them.
    """
    from kia.readable import NOTICE
    from kia.reporting.reading import read_all
    from kia.reporting.report import Report

    pictures = read_all(studies, kia.processor)
    reports = []
    with console.progress() as bar:
        task = bar.add_task("reports", total=len(studies))
        for one in kia.write_each(pictures, seed=asked.seed, anyway=asked.anyway):
            if isinstance(one, Report):
                reports.append(one)
            bar.advance(task)
    for report in reports:
        _print(report, asked, named=len(reports) > 1)
    if any(one["agrees"] is False for report in reports for one in report.evidence):
        console.err.print("[disputed]: the model's own label task says otherwise")
    if asked.evidence:
        console.err.print(kia.pointing, soft_wrap=True)
    if any(report.report is None for report in reports):
        console.err.print("no report: probably no chest X-ray; --anyway writes one all the same")
    console.err.print(NOTICE)
    if json_file:
        console.write_json(json_file, [report.to_record() for report in reports])
    return reports


def write_report_lines(kia: "KIA", studies: Sequence[Study], asked: Asked, name: str) -> None:
    """Writes a line of JSON a study, batch by batch while the next images are decoded.

    A study that cannot be read gets a line with an `error`, and the others go on.

    Args:
        kia: The model.
        studies: What it reads.
        asked: How reports are written.
        name: Of the file; "-" is stdout.

    Raises:
        DataError: At the end, if a study could not be read.
    """
    from kia.reporting.reading import read_each
    from kia.reporting.report import Unreadable

    failed = []
    with (
        _lines(name) as file,
        closing(read_each(studies, kia.processor)) as read,
        console.progress() as bar,
    ):
        task = bar.add_task("reports", total=len(studies))
        for one in kia.write_each(read, seed=asked.seed, anyway=asked.anyway):
            failed += [one.why] if isinstance(one, Unreadable) else []
            file.write(console.json_text(one.to_record()) + "\n")
            file.flush()
            bar.advance(task)
    if failed:
        raise DataError(
            f"{len(failed)} of {len(studies)} studies could not be read: {failed[0]}; "
            "the others have their lines"
        )


@contextmanager
def _lines(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        yield file


def _print(report: "Report", asked: Asked, *, named: bool) -> None:
    from kia.reporting.forms import as_text

    names = [image.path for image in report.images]
    warn_of(report.flags, names)
    if named:
        console.out.print(", ".join(map(console.one_line, names)), style="bold", soft_wrap=True)
    console.out.print(as_text(report, asked.form, marks=True), soft_wrap=True)
    if asked.evidence:
        _print_evidence(report)
    if asked.candidates and report.candidates:
        _print_candidates(report.candidates)


def _print_candidates(candidates: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [one[name] for name in ("score", "match", "log_probability", "report")]
        for one in candidates
    ]
    console.table(["score", "match", "log probability", "candidate"], rows)


def _print_evidence(report: "Report") -> None:
    from kia.reporting.forms import answers

    words = {True: "agrees", False: "disputed", None: "uncertain"}
    rows = []
    for one in report.evidence:
        opinions = [f"{words[a]}: {answers(one, a)}" for a in words if answers(one, a)]
        shares = [sum(map(sum, patches)) for patches in one["attention"]]
        looked = [f"{v} {s:.0%}" for v, s in zip(report.views, shares, strict=True)]
        rows.append(
            [
                *(one["text"], one["probability"], ", ".join(one["finding_words"]) or None),
                *(", ".join(looked), "; ".join(opinions) or None),
            ]
        )
    columns = ["sentence", "probability", "finding words", "attention", "label task"]
    console.table(columns, rows)
    if report.match is not None:
        console.out.print(f"matching degree {report.match:.4f}")
