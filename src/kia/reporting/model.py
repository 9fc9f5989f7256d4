"""KIA: chest X-rays in, reports out; what the command line, the server and Python call."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import torch

import kia
from kia.agreement import label_answers
from kia.config import GenerationConfig
from kia.explain.describe import describe
from kia.generation import (
    chosen_device,
    generation_settings,
    load_model,
    model_folder,
    study_inputs,
)
from kia.imaging.pictures import Pictures
from kia.imaging.plausibility import NO_CHEST, Flag
from kia.installed import installed_folder
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.structure import structure_sentences
from kia.models.decoding import Streamer
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor, Seen
from kia.processing.given import is_batch
from kia.reporting.content import Organ, Writer
from kia.reporting.pointing import pointing_rate
from kia.reporting.reading import read_all
from kia.reporting.report import Report, Unreadable, read_of
from kia.studies import Study
from kia.wording import has_sound

UNKNOWN_TRAINING = (
    f"this model is of an earlier kia, its folder has no {Seen.FILE}: training images and the most "
    "frequent training reports are not marked"
)


NO_SOUND = "No sentence of this report is worded as the training reports are."


class ModelWarning(UserWarning):
    """A model was trained by an earlier kia, and lacks something."""


class KIA:
    """A model that writes reports.

        from kia import KIA

        model = KIA("kia-small-iu-xray")
        print(model("image.dcm").report)

    Attributes:
        model: In evaluation mode.
        processor: Of the same model.
        settings: How reports are written.
        writer: What stands in each `Report` as its model.
        pointing: A sentence on how often heat maps point at findings.
        whole_sentences: Whether reports are mended by the sentence.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        device: str | None = None,
        whole_sentences: bool = True,
        **decoding: Any,
    ) -> None:
        """Loads a model.

        Args:
            source: An installed model, a run folder, a model folder, or a name on the hub. An
                installed one needs no network.
            device: "cpu", "cuda", "mps" …; the GPU if there is one.
            whole_sentences: Mend reports by the sentence (`kia.wording`); else they are as the
                decoder wrote them.
            decoding: Fields of `kia.config.GenerationConfig`, over the model's defaults.

        Raises:
            ModelError: There is no such model, or it is damaged.
            UsageError: A setting is out of range, or there is no such device.
        """
        folder = model_folder(source)
        model, processor = load_model(folder)
        model.to(chosen_device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
        settings = generation_settings(model, **decoding)
        self._begin(model, processor, settings, name_of(source), folder)
        self.whole_sentences = whole_sentences

    @classmethod
    def of(
        cls,
        model: KIAModel,
        processor: KIAProcessor,
        settings: GenerationConfig | None = None,
        name: str = "",
        folder: Path | None = None,
        whole_sentences: bool = True,
    ) -> Self:
        """Of a model that is loaded already.

        Args:
            model: Where it shall compute.
            processor: Of the same model.
            settings: How reports are written; the model's defaults.
            name: What it is called in reports (`name_of`).
            folder: Its own, with what was measured of it.
            whole_sentences: As of the constructor.
        """
        self = cls.__new__(cls)
        self._begin(model, processor, settings or generation_settings(model), name, folder)
        self.whole_sentences = whole_sentences
        return self

    def _begin(
        self,
        model: KIAModel,
        processor: KIAProcessor,
        settings: GenerationConfig,
        name: str,
        folder: Path | None,
    ) -> None:
        self.model, self.processor, self.settings = model.eval(), processor, settings
        self.writer = Writer(name, kia.__version__)
        self.pointing = pointing_rate(folder)
        if processor.seen is None:
            warnings.warn(UNKNOWN_TRAINING, ModelWarning, stacklevel=3)

    def __call__(
        self,
        images: Any,
        views: Sequence[Any] | None = None,
        *,
        seed: int = 0,
        anyway: bool = False,
    ) -> Any:
        """Writes the report of a study, or of several.

        Args:
            images: One image, or the images of one study in a list: paths, file contents, images
                of Pillow, arrays, tensors, data sets of pydicom, mixed as you like. Or several
                studies: a list of such lists, of any lengths. Or a `Study` of `kia.read_studies`,
                or a list of them, whose files are read in processes of their own.
            views: "frontal" or "lateral" for each image; by default what DICOM headers say, else
                frontal before lateral. For several studies such a list (or None) a study.
            seed: Of the candidates that are drawn.
            anyway: Write a report for what is probably no chest X-ray too.

        Returns:
            A `Report`, or a list of them for several studies.

        Raises:
            DataError: No image, an unknown view, or two patients in a study.
            ImageError: An image cannot be read.
        """
        several = is_batch(images) or _are_studies(images)
        pictures = self._read(images, views, several)
        reports = [
            one
            for one in self.write_each(pictures, seed=seed, anyway=anyway)
            if isinstance(one, Report)
        ]
        return reports if several else reports[0]

    def _read(self, images: Any, views: Any, several: bool) -> list[Pictures]:
        if isinstance(images, Study) or _are_studies(images):
            return read_all(images if several else [images], self.processor)
        if not several:
            return [self.processor.pictures(images, views)]
        told = [None] * len(images) if views is None else views
        both = zip(images, told, strict=True)
        return [self.processor.pictures(study, named) for study, named in both]

    def write_each(
        self,
        pictures: Iterable[Pictures | Unreadable],
        *,
        seed: int = 0,
        anyway: bool = False,
    ) -> Iterator[Report | Unreadable]:
        """Reports of studies in their order, `settings.batch_size` of them decoded together.

        Args:
            pictures: What `KIAProcessor.pictures` or `kia.reporting.reading` read; what cannot be
                read comes back as it is.
            seed: Of the candidates that are drawn.
            anyway: Write a report for what is probably no chest X-ray too.
        """
        waiting = iter(pictures)
        while batch := list(islice(waiting, self.settings.batch_size)):
            whole = [one for one in batch if isinstance(one, Pictures)]
            written = iter(self.write(whole, seed=seed, anyway=anyway))
            for one in batch:
                yield one if isinstance(one, Unreadable) else next(written)

    def write(
        self,
        pictures: Sequence[Pictures],
        *,
        candidates: int | None = None,
        seed: int = 0,
        anyway: bool = False,
        streamer: Streamer | None = None,
    ) -> list[Report]:
        """Reports of studies, all decoded together; a study's does not depend on the others.

        Args:
            pictures: As read.
            candidates: Reports of which one is chosen; the settings' if absent.
            seed: Of the candidates that are drawn.
            anyway: Write a report for what is probably no chest X-ray too.
            streamer: Told of the word pieces of the report of a single study, if decoding is
                greedy and there is one candidate.
        """
        wanted = [anyway or not is_no_chest(one) for one in pictures]
        chosen = [one for one, yes in zip(pictures, wanted, strict=True) if yes]
        told = iter(
            describe(
                self.model,
                self.processor,
                self.inputs(chosen),
                self.settings,
                candidates=candidates,
                seed=seed,
                streamer=streamer,
                whole_sentences=self.whole_sentences,
            )
            if chosen
            else ()
        )
        others = [one for one, yes in zip(pictures, wanted, strict=True) if not yes]
        found = iter(self.findings(others) if others else ())
        return [
            self._report(one, next(told)) if yes else self._declined(one, next(found))
            for one, yes in zip(pictures, wanted, strict=True)
        ]

    def findings(self, pictures: Sequence[Pictures]) -> list[dict[str, float] | None]:
        """Observation → probability of "present", for each study; None if the model names none."""
        answers = label_answers(self.model, self.processor, self.inputs(pictures))
        if answers is None:
            return [None] * len(pictures)
        return [dict(zip(OBSERVATIONS, row, strict=True)) for row in answers.tolist()]

    def inputs(self, pictures: Sequence[Pictures]) -> dict[str, torch.Tensor | None]:
        """What the model reads of studies: `pixel_values`, `view_ids`, `view_mask`."""
        squares, views = [one.squares for one in pictures], [one.views for one in pictures]
        return study_inputs(self.processor, squares, views)

    def _report(self, pictures: Pictures, told: dict[str, Any]) -> Report:
        sentences = told["sentences"]
        known = read_of(pictures)
        if seen := self.processor.seen:
            known["flags"] = [*known["flags"], *seen.flags(pictures.squares, told["raw"])]
            if told["report"] and seen.phrases and not has_sound(told["raw"], seen):
                known["flags"].append(Flag(view=0, kind="wording", message=NO_SOUND))
        return Report(
            report=told["report"],
            raw=told["raw"],
            structured=_structured([one["text"] for one in sentences]),
            findings=told["findings"],
            evidence=sentences,
            match=told["match"],
            candidates=told["candidates"],
            writer=self.writer,
            **known,
        )

    def _declined(self, pictures: Pictures, findings: dict[str, float] | None) -> Report:
        return Report(
            report=None,
            raw=None,
            structured=None,
            findings=findings,
            evidence=(),
            not_assessed=OBSERVATIONS,
            writer=self.writer,
            **read_of(pictures),
        )


def is_no_chest(pictures: Pictures) -> bool:
    """Whether a picture of a study is probably no chest X-ray, by its looks."""
    return any(flag["kind"] in NO_CHEST for flag in pictures.flags)


def name_of(source: str | Path) -> str:
    """What a model is called in reports: its name if it is installed, else that of its folder."""
    if installed_folder(source) != source:  # the name of an installed model
        return str(source)
    folder = Path(source).absolute()
    return folder.parent.name if folder.name == "model" else folder.name


def _are_studies(images: Any) -> bool:
    return (
        isinstance(images, list | tuple)
        and bool(images)
        and all(isinstance(one, Study) for one in images)
    )


def _structured(sentences: Sequence[str]) -> dict[str, Organ]:
    return {
        organ: {
            "state": one.state,
            "sentences": [sentences[number] for number in one.sentences],
            "evidence": list(one.sentences),
        }
        for organ, one in structure_sentences(sentences).items()
    }
