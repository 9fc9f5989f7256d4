"""What the page is told of a study, one after the other."""

import asyncio
import base64
import io
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kia.config import GenerationConfig
from kia.errors import KIAError
from kia.imaging.pictures import Pictures
from kia.processing import KIAProcessor
from kia.readable import readable
from kia.serving.answers import FAILED, failure
from kia.serving.fhir import diagnostic_report
from kia.serving.page_similar import SimilarReports
from kia.serving.service import Service

_log = logging.getLogger("kia.serving")


def writes_word_by_word(decoding: GenerationConfig, candidates: int | None = None) -> bool:
    """Whether a report can be shown while it is written: greedily, and with nothing to choose."""
    return decoding.beams == 1 and (candidates or decoding.candidates) == 1


def png_data(square: NDArray[np.uint8]) -> str:
    """A `data:` address of a grey picture (S, S)."""
    file = io.BytesIO()
    Image.fromarray(square).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


async def study_events(
    service: Service,
    pictures: Pictures,
    deadline: float,
    candidates: int | None = None,
    anyway: bool = False,
    similar: SimilarReports | None = None,
) -> AsyncIterator[dict[str, Any]]:
    """Events of a study, each with one key more than the page needs to tell them apart.

    Args:
        service: Started.
        pictures: What it read.
        deadline: On the clock of the event loop.
        candidates: Reports of which one is chosen; the model's default.
        anyway: Write a report for what is probably no chest X-ray too.
        similar: Finds training reports, if the data set is there.

    Yields:
        `{"pictures", "views", "flags", "places"}`, so that doubts are seen before any report;
        `{"words"}`, the report so far, if it is written word by word; `{"found", "fhir"}`;
        `{"similar"}`. `{"error"}` is the last one, if something goes wrong.
    """
    shown = [png_data(square) for square in pictures.squares]
    known = {"views": pictures.views, "flags": pictures.flags, "places": pictures.places}
    yield {"pictures": shown, **known}
    try:
        async for event in _report_events(service, pictures, deadline, candidates, anyway):
            yield event
        if similar:
            async with asyncio.timeout_at(deadline):
                found = await similar.find(pictures)
            yield {"similar": found}
    except TimeoutError:
        yield {"error": "the model took too long; try again later"}
    except KIAError as error:
        yield {"error": str(error)}
    except Exception as error:  # the answer has begun, so that its status says nothing
        _log.error("POST /page/study failed: %s", failure(error))
        yield {"error": FAILED}


async def _report_events(
    service: Service,
    pictures: Pictures,
    deadline: float,
    candidates: int | None,
    anyway: bool,
) -> AsyncIterator[dict[str, Any]]:
    loop = asyncio.get_running_loop()
    written: asyncio.Queue[str | None] = asyncio.Queue()
    words = None
    if writes_word_by_word(service.decoding, candidates):
        words = _Words(
            service.processor, lambda text: loop.call_soon_threadsafe(written.put_nowait, text)
        )
    describing = asyncio.ensure_future(
        service.describe(pictures, candidates=candidates, anyway=anyway, streamer=words)
    )
    describing.add_done_callback(lambda _: written.put_nowait(None))
    # a client may be gone before it is told: asyncio would log what was to be said
    describing.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        while True:
            # around the wait alone: in a generator, a time-out must not span a yield
            async with asyncio.timeout_at(deadline):
                text = await written.get()
            if text is None:
                break
            yield {"words": text}
        found = await describing
    finally:
        describing.cancel()
    yield {"found": found, "fhir": diagnostic_report(found)}


class _Words:
    """Tells the report so far, after each word piece."""

    def __init__(self, processor: KIAProcessor, told: Callable[[str], Any]) -> None:
        self._processor, self._told = processor, told
        self._ids: list[int] = []

    def put(self, value: Tensor) -> None:
        """Takes [START], then one word piece at a time."""
        self._ids += value.flatten().tolist()
        raw = self._processor.decode(self._ids)
        shown = readable(raw)
        self._told(shown if raw.endswith(".") else shown.rstrip(" .…"))

    def end(self) -> None:
        """Nothing more to tell: the whole report comes with its evidence."""
