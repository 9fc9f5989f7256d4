"""Writes phantom studies as a prepared data set, with the truth about every finding beside it.

truth.jsonl has a line a study: {"id", "findings": [{"observation", "kind", "side", "location",
"severity", "masks": {view: row}}], "landmarks"}. `row` is a row of masks.npy: uint8
(n, S, ceil(S / 8)), bits packed along the last axis (`unpack_mask`).
"""

import json
from collections.abc import Callable, Generator
from contextlib import closing
from socket import socket
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.data.store.description import damaged
from kia.data.store.npy_file import NpyFile
from kia.data.store.npy_writer import NpyWriter
from kia.files.plain import json_lines
from kia.files.records import Record
from kia.files.regular import MOST_TABLE, read_text
from kia.knowledge.chexpert import OBSERVATIONS
from kia.processes.child import serve
from kia.processes.crew import answers
from kia.processes.messages import Message, Piece
from kia.studies import Study, View

TRUTH, MASKS = "truth.jsonl", "masks.npy"

_CHUNK = 16  # studies a task
_Made = tuple[Study, npt.NDArray[np.uint8], dict[str, Any], list[npt.NDArray[np.uint8]]]


def write_phantoms(
    writer: DatasetWriter,
    studies: int,
    seed: int,
    *,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Generate studies and store them; the result does not depend on `workers`.

    Args:
        writer: Its image size is that of the phantoms.
        studies: How many.
        seed: Another seed gives other studies.
        workers: Processes.
        advance: Called after each study.
    """
    size = writer.image_size
    masks = NpyWriter(writer.side_file(MASKS), (size, -(-size // 8)))
    truths = writer.side_file(TRUTH).open("w", encoding="utf-8")
    made = _generate(studies, seed, size, workers)
    with closing(masks), truths, closing(made):
        for study, pixels, truth, packed in made:
            for finding in truth["findings"]:
                views = finding["masks"]
                finding["masks"] = {view: masks.rows + row for view, row in views.items()}
            for mask in packed:
                masks.append(mask[None])
            truths.write(json.dumps(truth) + "\n")
            writer.add(study, pixels)
            advance()


class DrawnFinding(Record):
    """A finding that was drawn, and the rows of masks.npy where it shows, by view."""

    observation: str
    kind: str
    side: str | None
    location: str | None
    severity: str | None
    masks: dict[View, Annotated[int, Field(ge=0)]]

    @field_validator("observation")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in OBSERVATIONS:
            raise ValueError("not an observation of CheXpert")
        return name


class Truth(Record):
    """A line of truth.jsonl: what was drawn into a study; boxes of landmarks as fractions."""

    id: str
    findings: list[DrawnFinding]
    landmarks: dict[str, Annotated[list[float], Field(min_length=4, max_length=4)]]


def read_truth(dataset: PreparedDataset) -> dict[str, dict[str, Any]]:
    """The lines of truth.jsonl by study id.

    Raises:
        DataError: truth.jsonl is missing or damaged.
    """
    try:
        text = read_text(dataset.path / TRUTH, MOST_TABLE, follow=False)
        return {truth.id: truth.model_dump() for truth in map(Truth.of, json_lines(text))}
    except OSError as error:
        raise damaged(dataset.path, f"{TRUTH}: {error.strerror}") from error
    except ValueError as error:
        raise damaged(dataset.path, f"{TRUTH}: {error}") from error


class DrawnMasks:
    """masks.npy of a data set of phantoms.

    Raises:
        DataError: It is missing or damaged.
    """

    def __init__(self, dataset: PreparedDataset) -> None:
        self._file, self._size = NpyFile(dataset.path / MASKS), dataset.image_size

    def mask(self, row: int) -> npt.NDArray[np.bool_]:
        """bool (S, S)."""
        packed = np.empty((1, self._size, -(-self._size // 8)), np.uint8)
        self._file.read(row, packed)
        return unpack_mask(packed[0], self._size)


def unpack_mask(row: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.bool_]:
    """Row (S, ceil(S / 8)) of masks.npy → bool (S, S)."""
    return np.unpackbits(row, axis=-1, count=size).astype(bool)


def _generate(studies: int, seed: int, size: int, workers: int) -> Generator[_Made, None, None]:
    if workers <= 1:
        for index in range(studies):
            yield _make(index, studies, seed, size)
        return
    asked = (
        Message({"first": first, "studies": studies, "seed": seed, "size": size})
        for first in range(0, studies, _CHUNK)
    )
    with closing(answers(f"{__name__}:work", asked, workers)) as found:
        for answer in found:
            pieces = iter(answer.pieces)
            for record, shape, truth, masks in answer.value:
                pixels = np.frombuffer(next(pieces), np.uint8).reshape(shape)
                packed = [_mask(next(pieces), size) for _ in range(masks)]
                yield Study.from_record(record), pixels, truth, packed


def work(channel: socket) -> None:
    """What a process of `write_phantoms` does."""
    serve(channel, _make_chunk)


def _make_chunk(asked: Message) -> Message:
    first, studies, seed, size = (asked.value[key] for key in ("first", "studies", "seed", "size"))
    told, pieces = [], []
    for index in range(first, min(first + _CHUNK, studies)):
        study, pixels, truth, packed = _make(index, studies, seed, size)
        told.append([study.to_record(), pixels.shape, truth, len(packed)])
        pieces += [array.tobytes() for array in (pixels, *packed)]
    return Message(told, pieces)


def _mask(content: Piece, size: int) -> npt.NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(size, -1)


def _make(index: int, studies: int, seed: int, size: int) -> _Made:
    from kia.phantoms.studies import phantom_study, split_of

    phantom = phantom_study(seed, index, size=size, split=split_of(index, studies))
    findings: list[dict[str, Any]] = []
    packed: list[npt.NDArray[np.uint8]] = []
    for finding in phantom.findings:
        rows = {}
        for view, mask in finding.masks.items():
            rows[view] = len(packed)
            packed.append(np.packbits(mask.astype(bool), axis=-1))
        said = {name: getattr(finding, name) for name in _SAID}
        findings.append({**said, "masks": rows})
    landmarks = {name: [float(x) for x in box] for name, box in phantom.landmarks.items()}
    truth = {"id": phantom.study.id, "findings": findings, "landmarks": landmarks}
    return phantom.study, phantom.pixels, truth, packed


_SAID = ("observation", "kind", "side", "location", "severity")
