"""Reports for image files: as text, as a JSON file, or as a JSON line a study."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kia.cli import console
from kia.cli.image_input import decoded_studies, described_images, warn_of, whole_studies
from kia.errors import DataError
from kia.studies import Study

if TYPE_CHECKING:
    from kia.config import GenerationConfig
    from kia.imaging.workers import LoadedStudy
    from kia.models.kia import KIAModel
    from kia.processing import KIAProcessor

Entry = dict[str, Any]
"""`images`, `views`, `facts` and `flags` of a study, and what `kia.explain.describe` says of it."""


def write_image_reports(
    model: "KIAModel",
    processor: "KIAProcessor",
    studies: Sequence[Study],
    settings: "GenerationConfig",
    *,
    seed: int,
    evidence: bool,
    json_file: Path | None = None,
) -> list[Entry]:
    """Prints the reports of studies, all of which are decoded first; a bad file costs no time.

    Returns:
        What was said of each study.
    """
    from kia.readable import NOTICE

    loaded = whole_studies(studies, processor)
    written = []
    with console.progress() as bar:
        task = bar.add_task("reports", total=len(studies))
        for entry in _entries(model, processor, studies, loaded, settings, seed):
            written.append(entry)
            bar.advance(task)
    for entry in written:
        _print(entry, named=len(written) > 1, evidence=evidence)
    if any(one["agrees"] is False for entry in written for one in entry["sentences"]):
        console.err.print("[disputed]: the model's own label task says otherwise")
    console.err.print(NOTICE)
    if json_file:
        console.write_json(json_file, written)
    return written


def write_report_lines(
    model: "KIAModel",
    processor: "KIAProcessor",
    studies: Sequence[Study],
    settings: "GenerationConfig",
    *,
    seed: int,
    name: str,
) -> None:
    """Writes a line of JSON a study, batch by batch while the next images are decoded.

    A study that cannot be read gets a line with an `error`, and the others go on.

    Args:
        name: Of the file; "-" is stdout.

    Raises:
        DataError: At the end, if a study could not be read.
    """
    failed = []
    with (
        _lines(name) as file,
        closing(decoded_studies(studies, processor)) as loaded,
        console.progress() as bar,
    ):
        task = bar.add_task("reports", total=len(studies))
        for entry in _entries(model, processor, studies, loaded, settings, seed):
            failed += [entry["error"]] if "error" in entry else []
            file.write(console.json_text(entry) + "\n")
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


def _entries(
    model: "KIAModel",
    processor: "KIAProcessor",
    studies: Sequence[Study],
    loaded: "Iterable[LoadedStudy]",
    settings: "GenerationConfig",
    seed: int,
) -> Iterator[Entry]:
    """What is said of studies, in their order; `batch_size` of them are decoded together."""
    from kia.explain.describe import describe
    from kia.generation import study_inputs

    waiting = zip(studies, loaded, strict=True)
    while batch := list(islice(waiting, settings.batch_size)):
        whole = [one for _, one in batch if one.pixels is not None and not one.rejects]
        squares = [one.pixels for one in whole if one.pixels is not None]
        views = [[image.view for image in one.study.images] for one in whole]
        told: list[Entry] = []
        if whole:
            inputs = study_inputs(processor, squares, views)
            told = describe(model, processor, inputs, settings, seed=seed)
        each = iter(told)
        for asked, one in batch:
            if one.rejects:
                images = [image.path for image in asked.images]
                yield {"images": images, "error": one.rejects[0].why}
            else:
                yield described_images(one, processor) | next(each)


def _print(entry: Entry, *, named: bool, evidence: bool) -> None:
    warn_of(entry)
    if named:
        names = ", ".join(map(console.one_line, entry["images"]))
        console.out.print(names, style="bold", soft_wrap=True)
    console.out.print(marked_text(entry), soft_wrap=True)
    if evidence:
        _print_evidence(entry)
    if entry["candidates"]:
        rows = [[c["match"], c["log_probability"], c["report"]] for c in entry["candidates"]]
        console.table(["match", "log probability", "candidate"], rows)


def marked_text(entry: Entry) -> str:
    """The report, with a mark after each sentence that the label task disputes."""
    sentences = entry["sentences"]
    if all(one["agrees"] is not False for one in sentences):
        return str(entry["report"])
    return " ".join(
        f"{one['text']} [disputed: {_answers(one, False)}]"
        if one["agrees"] is False
        else one["text"]
        for one in sentences
    )


def _answers(sentence: Entry, agrees: bool | None) -> str:
    """What the label task answers where it agrees, where it does not, or (None) where it can."""
    return ", ".join(
        f"{one['observation']} {'present' if one['present'] > 0.5 else 'absent'} "
        f"{max(one['present'], 1 - one['present']):.2f}"
        for one in sentence["opinions"]
        if one["agrees"] is agrees
    )


def _print_evidence(entry: Entry) -> None:
    words = {True: "agrees", False: "disputed", None: "uncertain"}
    rows = []
    for one in entry["sentences"]:
        opinions = [f"{words[a]}: {_answers(one, a)}" for a in words if _answers(one, a)]
        shares = [sum(map(sum, patches)) for patches in one["attention"]]
        looked = [f"{v} {s:.0%}" for v, s in zip(entry["views"], shares, strict=True)]
        rows.append(
            [
                *(one["text"], one["probability"], ", ".join(one["finding_words"]) or None),
                *(", ".join(looked), "; ".join(opinions) or None),
            ]
        )
    columns = ["sentence", "probability", "finding words", "attention", "label task"]
    console.table(columns, rows)
    if entry["match"] is not None:
        console.out.print(f"matching degree {entry['match']:.4f}")
