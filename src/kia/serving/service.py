"""What a server does: pictures in, a report with its evidence out. Knows nothing of HTTP."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor

from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError, ImageError, ModelError
from kia.generation import check_image_size, load_model, model_folder
from kia.imaging.facts import UNKNOWN
from kia.imaging.one_study import one_study
from kia.imaging.pictures import Pictures
from kia.imaging.reading import read_facts
from kia.imaging.signatures import HEAD, kind_of
from kia.models.decoding import Streamer
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.readable import NOTICE
from kia.reporting.forms import as_record
from kia.reporting.model import KIA, name_of
from kia.reporting.report import Report
from kia.serving.batcher import Batcher
from kia.serving.decoder import Decoder
from kia.serving.freed_memory import give_back, keep_no_large_pieces
from kia.serving.metrics import Metrics
from kia.serving.settings import Settings
from kia.studies import StudyImage, View

MOST_IMAGES = 2
"""Of a study; models are trained with a frontal and a lateral view."""
GIVE_BACK = 1.0
"""Seconds between two times that freed memory goes back to the system."""

T = TypeVar("T")


class UnknownFormat(ImageError):
    """A file that is neither PNG, JPEG nor DICOM."""


@dataclass(frozen=True)
class Upload:
    """A file as it was sent.

    Attributes:
        content: All of it.
        dicom: Whether its name or type says that it is DICOM, where its first bytes do not.
    """

    content: bytes
    dicom: bool = False


class Service:
    """A model that many use at the same time.

    Everything that touches the model runs in one thread: use `report`, `findings` or, for
    anything else, `run`. All methods that wait belong in one event loop.

    Attributes:
        model: In evaluation mode.
        processor: Of the same model.
        settings: Limits.
        decoding: How reports are written.
        dataset: The training data, if the server was given them.
        metrics: For Prometheus.
    """

    def __init__(
        self,
        model: KIAModel,
        processor: KIAProcessor,
        settings: Settings | None = None,
        dataset: PreparedDataset | None = None,
        folder: Path | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        self.kia = KIA.of(model, processor, name=name_of(settings.model), folder=folder)
        self.model, self.processor, self.dataset = model, processor, dataset
        self.decoding = self.kia.settings
        self._decoder = Decoder(
            settings.decoders,
            processor.image_size,
            processor.resize,
            settings.timeout / 3,  # so that a second try and the report still come in time
        )
        self._batcher = Batcher(
            most=settings.max_batch,
            wait=settings.wait_ms / 1000,
            queue=settings.queue,
            on_batch=self._after_batch,
            on_rest=give_back,
        )
        self.metrics = Metrics(self._batcher.__len__)
        self._gave_back = 0.0

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Loads the model and the data set that settings name.

        Raises:
            DataError: The data set cannot be used.
            ModelError: The model cannot be used, or reads images of another size.
        """
        folder = model_folder(settings.model)
        model, processor = load_model(folder)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        dataset = PreparedDataset.open(settings.data) if settings.data else None
        if dataset:
            check_image_size(dataset, processor)
        return cls(model, processor, settings, dataset, folder)

    def start(self) -> None:
        """Starts the threads and processes, and writes one report, so that the first is quick.

        Raises:
            Busy: The processes do not start.
            ModelError: The decoding defaults of the model do not go with it.
        """
        import_module("kia.imaging.dicom.facts")  # 0.4 s, which the first DICOM file need not wait
        keep_no_large_pieces()
        self._decoder.start()
        self._batcher.start()
        size = self.processor.image_size
        blank = blank_study(size)
        self._batcher.submit(_Describe(self), blank).result()

    def close(self, within: float | None = None) -> bool:
        """Lets the model finish what it has, and ends the threads and processes.

        Args:
            within: Seconds that the model may take; the settings' time of a request if absent.

        Returns:
            Whether the model has finished. If it hangs, its thread stays until the program ends.
        """
        finished = self._batcher.close(self.settings.timeout if within is None else within)
        self._decoder.close()
        return finished

    @property
    def ready(self) -> bool:
        """Whether requests would be answered: the model and a decoder are there and not stuck."""
        model = self._batcher.alive and self._batcher.busy_for < self.settings.timeout
        return model and self._decoder.ready

    async def read(
        self, images: Sequence[Upload | bytes], views: Sequence[View] | None = None
    ) -> Pictures:
        """Decodes the files of a study, and looks for what is odd about them.

        Args:
            images: One or two files; views are those of DICOM headers and, where they say nothing,
                frontal before lateral, unless `views` says otherwise.
            views: What each is.

        Raises:
            DataError: Too few or too many images, not a view for each, or two patients.
            UnknownFormat: A file is neither PNG, JPEG nor DICOM.
            ImageError: A file cannot be decoded, or none is a chest X-ray; the text says why.
        """
        if not 1 <= len(images) <= MOST_IMAGES:
            raise DataError(f"a study has 1 to {MOST_IMAGES} images, not {len(images)}")
        if views and len(views) != len(images):
            raise DataError(f"{len(images)} images and {len(views)} views; name one for each")
        files = [Upload(image) if isinstance(image, bytes) else image for image in images]
        named = [(file, f"image {n}{'.dcm' * file.dicom}") for n, file in enumerate(files, 1)]
        for file, name in named:
            _check_format(file, name)
        found = [await asyncio.to_thread(read_facts, f.content, name=n) for f, n in named]
        called = [f"image {n}" for n in range(1, len(files) + 1)]
        study = one_study(list(zip(called, found, strict=True)), views)
        kept = [named[place] for place in study.places]
        loaded = await asyncio.gather(*(self._decoder.decode(f.content, n) for f, n in kept))
        for one in loaded:
            if one.why_not:
                raise ImageError(one.why_not)
        squares = np.stack([one.pixels for one in loaded if one.pixels is not None])
        odd = [one.doubts for one in loaded], [one.shape for one in loaded]
        return Pictures.of(study, squares, *odd, self.processor.reference)

    async def describe(
        self,
        pictures: Pictures,
        *,
        candidates: int | None = None,
        anyway: bool = False,
        streamer: Streamer | None = None,
    ) -> dict[str, Any]:
        """The report of a study and what stands behind it.

        Args:
            pictures: What `read` gave.
            candidates: Reports of which one is chosen; the model's default.
            anyway: Write a report for what is probably no chest X-ray too.
            streamer: Told of each word piece in the model's thread, if decoding is greedy; the
                study is then not batched with others.

        Returns:
            A `kia.reporting.Report` as JSON has it.

        Raises:
            Busy: Too many wait already.
        """
        report = await self._submit(_Describe(self, candidates, anyway, streamer), pictures)
        return as_record(report)

    async def report(
        self,
        images: Sequence[Upload | bytes],
        *,
        views: Sequence[View] | None = None,
        candidates: int | None = None,
        anyway: bool = False,
    ) -> dict[str, Any]:
        """`read`, then `describe`."""
        pictures = await self.read(images, views)
        return await self.describe(pictures, candidates=candidates, anyway=anyway)

    async def findings(
        self, images: Sequence[Upload | bytes], *, views: Sequence[View] | None = None
    ) -> dict[str, Any]:
        """Probabilities of the 14 observations, with `facts`, `flags` and `notice`.

        Raises:
            Busy: Too many wait already.
            ModelError: The model cannot fill in the label report.
        """
        pictures = await self.read(images, views)
        findings = await self._submit(self.kia.findings, pictures)
        if findings is None:
            raise ModelError("this model was trained without [MASK] and cannot name findings")
        return pictures.to_record() | {"findings": findings, "notice": NOTICE}

    async def run(self, function: Callable[[], T]) -> T:
        """Runs any function that uses the model, in its thread and turn.

        Raises:
            Busy: Too many wait already.
        """
        return await self._submit(lambda items: [function()], None)

    def inputs(self, studies: Sequence[Pictures]) -> dict[str, Tensor | None]:
        """What the model reads of studies: `pixel_values`, `view_ids`, `view_mask`."""
        return self.kia.inputs(studies)

    def _after_batch(self, studies: int, seconds: float) -> None:
        self.metrics.batch(studies, seconds)
        if time.monotonic() > self._gave_back + GIVE_BACK:
            give_back()
            self._gave_back = time.monotonic()

    async def _submit(self, work: Any, item: Any) -> Any:
        return await asyncio.wrap_future(self._batcher.submit(work, item))


@dataclass(frozen=True)
class _Describe:
    """Equal ones are batched together."""

    service: Service
    candidates: int | None = None
    anyway: bool = False
    streamer: Streamer | None = None

    def __call__(self, studies: list[Pictures]) -> list[Report]:
        return self.service.kia.write(
            studies, candidates=self.candidates, anyway=self.anyway, streamer=self.streamer
        )


def blank_study(size: int) -> Pictures:
    """A black frontal picture, to warm up with."""
    square = np.zeros((1, size, size), np.uint8)
    return Pictures(square, (StudyImage("image 1", "frontal"),), (UNKNOWN,), [], (0,))


def _check_format(file: Upload, name: str) -> None:
    if not file.content:
        raise ImageError(f"{name}: empty file")
    if not (file.dicom or kind_of(file.content[:HEAD])):
        raise UnknownFormat(f"{name}: not a PNG, JPEG or DICOM image")
