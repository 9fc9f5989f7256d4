"""What the commands that prepare a data set share: their options, and the way to the disk."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kia.errors import DataError, UsageError

if TYPE_CHECKING:
    from kia.data.deidentify.privacy import Privacy
    from kia.data.readers.inputs import Input, Inputs
    from kia.data.readers.splits import RandomSplit
    from kia.data.store.dataset import DatasetWriter, PreparedDataset
    from kia.imaging.workers import Reject


class ResizeMode(StrEnum):
    """How images become square."""

    squash = "squash"
    pad = "pad"


class SectionChoice(StrEnum):
    """The target text."""

    findings = "findings"
    impression = "impression"
    both = "both"
    report = "report"


Out = Annotated[Path, typer.Option("--out", help="folder of the new data set")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the data set in --out")]
Strict = Annotated[
    bool, typer.Option("--strict", help="fail if an input was left out; the data set stays")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="processes; one a processor")]
PartOf = Annotated[
    str | None,
    typer.Option("--part", metavar="N/M", help="only the N-th of M parts; see kia data merge"),
]
Size = Annotated[int, typer.Option("--size", min=32, max=2048, help="pixels a side")]
Resize = Annotated[
    ResizeMode, typer.Option("--resize", help="squash to a square, or pad with black")
]
Target = Annotated[
    SectionChoice | None,
    typer.Option("--section", help="target text; the annotation's own, else the findings"),
]
Annotation = Annotated[Path | None, typer.Option("--annotation", help="R2Gen's annotation.json")]
Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="accept other counts than the published ones")
]
Labels = Annotated[Path | None, typer.Option("--labels", help="CheXpert labels (CSV) by study id")]
Graphs = Annotated[Path | None, typer.Option("--graphs", help="RadGraph graphs (JSON) by study id")]
LabelReports = Annotated[
    Path | None,
    typer.Option(
        "--label-reports", help="table with ids that --labels or --graphs without ids was made from"
    ),
]
SplitFrom = Annotated[
    str | None,
    typer.Option("--split", metavar="FILE|random", help="a file with id and split, or a draw"),
]
Ratio = Annotated[
    str, typer.Option("--ratio", metavar="T:V:T", help="train, val, test of a random split")
]
Seed = Annotated[int, typer.Option("--seed", help="another seed, another random split")]
Deidentify = Annotated[
    bool,
    typer.Option("--deidentify", help="___ for names, dates, numbers in reports; ids hashed"),
]
DeidentifyKey = Annotated[
    Path | None,
    typer.Option("--deidentify-key", metavar="FILE", help="key of the hashes; not in --out"),
]


def split_source(split: str | None, ratio: str, seed: int) -> "Path | RandomSplit | None":
    """What --split, --ratio and --seed mean."""
    from kia.data.readers.splits import RandomSplit

    if split != "random":
        return None if split is None else Path(split)
    try:
        train, val, test = (float(part) for part in ratio.split(":"))
    except ValueError:
        raise UsageError(f"--ratio {ratio}: three numbers are needed, as in 7:1:2") from None
    if not (min(train, val, test) >= 0 and 0 < train + val + test < float("inf")):
        raise UsageError(f"--ratio {ratio}: the numbers are relative sizes, none below 0")
    return RandomSplit(seed, (train, val, test))


def split_record(source: "Path | RandomSplit | None") -> str | None:
    """How studies were split, for the record."""
    if source is None or isinstance(source, Path):
        return None if source is None else "file"
    return f"random, seed {source.seed}, {':'.join(f'{part:g}' for part in source.ratio)}"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What all commands that prepare a collection are told.

    Attributes:
        out: Folder of the new data set.
        source: Where the studies come from, for the record.
        size: Side of the square images in pixels.
        resize: How images become square.
        section: The target text.
        labels: File of labels; built-in if None.
        graphs: File of graphs; built-in if None.
        part: "3/16"; None for all inputs.
        workers: Processes; None for one a processor.
        overwrite: Replace the data set in `out`.
        strict: Fail at the end if an input was left out.
        label_reports: Table with ids that `labels` or `graphs` without ids were made from.
        metadata: MIMIC-CXR's table of dicom_ids and their studies, for labels and graphs by study.
        named: "id" and "report" → the user's names for these columns of `labels` and
            `label_reports`, where they are there.
    """

    out: Path
    source: str
    size: int
    resize: ResizeMode
    labels: Path | None
    graphs: Path | None
    part: str | None
    workers: int | None
    overwrite: bool
    section: str = "report"
    strict: bool = False
    label_reports: Path | None = None
    metadata: Path | None = None
    named: Mapping[str, str | None] | None = None

    def run(
        self,
        read: "Callable[[], Inputs]",
        settings: Mapping[str, Any],
        check: "Callable[[Counter[str], list[Reject], Iterable[Input]], None]" = lambda *_: None,
        privacy: "Privacy | None" = None,
    ) -> "PreparedDataset":
        """Decodes, annotates and stores studies with a progress bar; prints the counts.

        Args:
            read: Opens the collection.
            settings: What else decides the content.
            check: Called at the end with the studies by split, those that no image is left of,
                and all inputs once more; may raise.
            privacy: What to do about personal details; without it they are counted.
        """
        from kia.cli.console import err
        from kia.data.deidentify.privacy import Privacy
        from kia.data.readers.inputs import Part, fingerprint
        from kia.data.store.atomic_folder import refuse_occupied
        from kia.data.store.dataset import DatasetWriter, PreparedDataset

        part = None if self.part is None else Part.parse(self.part)
        refuse_occupied(self.out, self.overwrite)  # before the reader takes its time
        privacy = privacy or Privacy()
        inputs = read()
        own = [path for path in (self.labels, self.graphs) if path is not None]
        if own:
            own += [path for path in (self.label_reports, self.metadata) if path is not None]
        writer = DatasetWriter(
            self.out,
            image_size=self.size,
            source=self.source,
            section=self.section,
            resize=self.resize.value,
            overwrite=self.overwrite,
            settings={
                **settings,
                "labels": bool(self.labels),
                "graphs": bool(self.graphs),
                **privacy.settings,
            },
            inputs=privacy.fingerprint(fingerprint(inputs, own)),
            part=part,
        )
        numbers = range(len(inputs)) if part is None else part.cut(len(inputs))
        with writer:
            try:
                lost = self._store(inputs, numbers, writer, privacy)
                check(writer.counts, lost, inputs.read(numbers))
            except BaseException:
                if writer.done:
                    err.print(
                        f"{writer.done:,} of {len(numbers):,} inputs are finished; "
                        "the same command goes on from there"
                    )
                raise
        dataset = PreparedDataset.open(writer.out)
        print_counts(dataset)
        _print_details(privacy)
        if self.strict and (left_out := dataset.info["rejects"]):
            rejects = dataset.path / "rejects.jsonl"
            raise DataError(f"--strict: {left_out:,} inputs were left out; {rejects} says why")
        return dataset

    def _store(
        self, inputs: "Inputs", numbers: range, writer: "DatasetWriter", privacy: "Privacy"
    ) -> "list[Reject]":
        from kia.cli.console import err, progress
        from kia.data.annotate import annotated
        from kia.data.prepare import write_studies

        labels, graphs = self._imported(inputs)
        workers = self.workers or os.cpu_count() or 1
        if writer.done:
            err.print(f"going on after {writer.done:,} of {len(numbers):,} inputs")
            privacy.count(inputs.read(numbers[: writer.done]))
        with progress() as bar:
            task = bar.add_task("studies", total=len(numbers), completed=writer.done)
            return write_studies(
                writer,
                inputs.read(numbers[writer.done :]),
                annotate=lambda studies: annotated(
                    studies, labels, graphs, workers=workers, clean=privacy.clean
                ),
                workers=workers,
                advance=lambda: bar.advance(task),
                deidentifier=privacy.deidentifier,
            )

    def _imported(self, inputs: "Inputs") -> "tuple[Any, Any]":
        """Labels and graphs from the user's files, by study; None where there is no file."""
        from kia.data.imported import imported_graphs, imported_labels, read_metadata

        studies = inputs.studies if self.metadata is None else read_metadata(self.metadata)
        known = (inputs.ids, self.label_reports, studies, self.named)
        return (
            None if self.labels is None else imported_labels(self.labels, *known),
            None if self.graphs is None else imported_graphs(self.graphs, *known),
        )


def _print_details(privacy: "Privacy") -> None:
    """What was personal in the texts, in numbers."""
    from kia.cli.console import out, show_warning

    if privacy.deidentifier is not None:
        out.print(f"replaced by ___: {privacy.details}; ids and names of images are hashed")
    elif privacy.details.counts:
        show_warning(
            f"reports hold what looks personal: {privacy.details}; a tokenizer trained on them "
            "keeps it, --deidentify takes it out (docs/data.md)"
        )


def print_counts(dataset: "PreparedDataset") -> None:
    """Studies by split, images by view, and how many inputs were left out."""
    from kia.cli.console import out, table

    info = dataset.info
    table(["split", "studies"], info["counts"].items())
    views = ", ".join(f"{count:,} {view}" for view, count in info["images"].items())
    out.print(f"{views} images of {info['image_size']} × {info['image_size']} pixels")
    rejects = f"{info['rejects']} inputs were left out"
    out.print(f"{rejects}: see {dataset.path / 'rejects.jsonl'}" if info["rejects"] else rejects)
