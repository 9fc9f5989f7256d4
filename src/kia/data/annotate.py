"""Labels, graph and landmarks for studies that come without: built-in tools, or files."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from socket import socket
from typing import TypeVar

from kia.knowledge.alignment import part_about
from kia.knowledge.atlas.landmarks import mentioned_landmarks
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.labels.rules import label_reports
from kia.knowledge.language import ENGLISH, is_read
from kia.knowledge.radgraph import ReportGraph
from kia.processes.child import serve
from kia.processes.crew import answers
from kia.processes.messages import Message
from kia.studies import Study

Value = TypeVar("Value")

_CHUNK = 128  # studies a task


def annotated(
    studies: Iterable[Study],
    labels: Mapping[str, Mapping[str, int | None]] | None = None,
    graphs: Mapping[str, ReportGraph] | None = None,
    *,
    workers: int = 1,
    clean: Callable[[Study], Study] = lambda study: study,
) -> Iterator[Study]:
    """Studies with labels, graph and landmarks of their report, in the same order.

    Args:
        studies: Any. Labels that a study already has stay; one without report, or with one that
            is not in English, gets nothing from the built-in tools.
        labels: Study id → labels; those of the built-in labeler if None. A study that is not
            in it stays without labels.
        graphs: Study id → graph; those of the built-in extractor if None, and so on.
        workers: Processes; the first studies are done in this one.
        clean: Changes the texts, when what is in files has been joined by id and before the
            built-in tools read them.
    """
    chunks = _chunks(clean(_with_files(study, labels, graphs)) for study in studies)
    label, draw = labels is None, graphs is None
    yield from _described(next(chunks, []), label=label, draw=draw)
    if workers <= 1:
        for chunk in chunks:
            yield from _described(chunk, label=label, draw=draw)
    elif (second := next(chunks, None)) is not None:
        asked = (_message(chunk, label=label, draw=draw) for chunk in chain([second], chunks))
        with closing(answers(f"{__name__}:work", asked, workers)) as found:
            for answer in found:
                yield from map(Study.from_record, answer.value["studies"])


def work(channel: socket) -> None:
    """What a process of `annotated` does."""

    def answer(asked: Message) -> Message:
        given = [Study.from_record(record) for record in asked.value.pop("studies")]
        return _message(_described(given, **asked.value))

    serve(channel, answer)


def _message(studies: Iterable[Study], **options: bool) -> Message:
    return Message({"studies": [study.to_record() for study in studies], **options})


def _chunks(studies: Iterable[Study]) -> Iterator[list[Study]]:
    studies = iter(studies)
    while chunk := list(islice(studies, _CHUNK)):
        yield chunk


def _with_files(
    study: Study,
    labels: Mapping[str, Mapping[str, int | None]] | None,
    graphs: Mapping[str, ReportGraph] | None,
) -> Study:
    """A study with what the user's files say of its report."""
    if not study.report.strip():
        return study
    if labels is not None and study.labels is None:
        study = replace(study, labels=labels.get(study.id))
    if graphs is not None and study.id in graphs:
        study = replace(study, graph=part_about(graphs[study.id], study.report).to_record())
    return study


def _described(studies: list[Study], *, label: bool, draw: bool) -> list[Study]:
    """Studies with what the built-in tools find in their reports.

    Args:
        studies: Any.
        label: Label those without labels.
        draw: Give them graphs.
    """
    described = [s for s in studies if s.report.strip() and is_read(s.report, ENGLISH)]
    unlabelled = [study for study in described if label and study.labels is None]
    labels = _by_id(unlabelled, label_reports([study.report for study in unlabelled]))
    drawn = described if draw else []
    graphs = _by_id(drawn, extract_graphs([study.report for study in drawn]))
    return [
        replace(
            study,
            labels=labels.get(study.id, study.labels),
            graph=graphs[study.id].to_record() if study.id in graphs else study.graph,
            landmarks=mentioned_landmarks(study.report) if study.report.strip() else None,
        )
        for study in studies
    ]


def _by_id(studies: list[Study], values: Iterable[Value]) -> dict[str, Value]:
    return {study.id: value for study, value in zip(studies, values, strict=True)}
