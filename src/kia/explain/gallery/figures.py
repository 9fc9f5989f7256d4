"""The paper's figures of one study as pieces of a web page, for `gallery.py`."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.evaluation.board.page import image
from kia.evaluation.guesses import CONDITIONS
from kia.explain.attention.gradient import label_gradient
from kia.explain.attention.weights import label_attention
from kia.explain.evidence import report_evidence
from kia.explain.findings import check_answers
from kia.explain.heat_maps import COLOUR_BARS, HeatMap, draw_heat_maps
from kia.explain.match import match_degrees
from kia.explain.patches import draw_masked_versions
from kia.explain.reconstruction.exchanges import exchange_of
from kia.explain.reconstruction.measure import HEART, check_pixels, draw_reports
from kia.explain.retrieval.index import RetrievalIndex, check_contrast
from kia.explain.retrieval.picture import Shown, draw_retrieval
from kia.explain.retrieval.search import find
from kia.explain.words import guessed_texts
from kia.generation import dataset_inputs
from kia.knowledge.atlas.landmarks import mentioned_landmarks
from kia.knowledge.atlas.places import shipped_atlas
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.readable import readable

PICTURE_DPI = 110
"""Of the page's pictures: their smallest letters are 11 pixels high."""

_QUALITY = 88  # of WebP, a quarter of the size of PNG
_MOST = 5  # observations, and sentences, that are drawn
_FOUND = 3  # studies that retrieval shows
_CONDITION_NAMES = dict(zip(CONDITIONS, ("own image", "another's", "no image"), strict=True))


@dataclass(frozen=True)
class StudyFigures:
    """What the figures of one study need.

    Attributes:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        number: Of the study in the data set.
        other: Number of the study whose image stands against its own.
        written: The model's own report, raw.
        usual: From `gradient.mean_images`.
        index: Of the study's split; None of a model without contrast.
    """

    model: KIAModel
    processor: KIAProcessor
    dataset: PreparedDataset
    number: int
    other: int
    written: str
    usual: Tensor
    index: RetrievalIndex | None

    @property
    def inputs(self) -> dict[str, Tensor | None]:
        """Of the model, a batch of one study."""
        return dataset_inputs(self.dataset, self.processor, np.array([self.number]))

    def match(self) -> str:
        """Figure 12: matching degrees of the reference, the generated and another report.

        Raises:
            ModelError: The model was trained without matching.
        """
        degrees = match_degrees(
            *(self.model, self.processor, self.dataset),
            *(np.array([self.number]), np.array([self.other]), [self.written]),
        )[0]
        here, there = degrees[:3], [*degrees[3:], None]
        names = ("reference", "generated", "another study's reference")
        rows = "".join(
            f"<tr><td>{name}</td><td>{own:.3f}</td>"
            f"<td>{'–' if other is None else f'{other:.3f}'}</td></tr>"
            for name, own, other in zip(names, here, there, strict=True)
        )
        head = "<tr><th>report</th><th>this study's image</th><th>another study's image</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"

    def masks(self, kind: str) -> str:
        """Figure 7: maps of [MASK] for what the reference calls present and the model likeliest.

        Args:
            kind: "attention" or "gradient".

        Raises:
            ModelError: The model was trained without masked words.
        """
        check_answers(self.model)
        study = (self.model, self.processor, self.inputs)
        if kind == "attention":
            found = label_attention(*study)
        else:
            found = label_gradient(*study, self.usual)
        present = found.present[0].tolist()
        labels = self.dataset.study(self.number).labels or {}
        order = sorted(
            range(len(OBSERVATIONS)),
            key=lambda i: (labels.get(OBSERVATIONS[i]) not in (1, -1), -present[i]),
        )
        maps = [
            HeatMap(_answer(name, present[i], labels.get(name)), found.maps[0, i].cpu().numpy())
            for i in sorted(order[:_MOST])
            for name in [OBSERVATIONS[i]]
        ]
        title = "Observations that the reference calls present or uncertain, then the likeliest"
        return self._heat_maps(maps, kind, title)

    def sentences(self) -> str:
        """Attention of the decoder while it wrote each sentence."""
        found = report_evidence(self.model, self.processor, self.inputs, [self.written], None)[0]
        if not found:
            raise DataError("the generated report is empty")
        maps = [HeatMap(readable(one.text) or one.text, one.map) for one in found[:_MOST]]
        title = f"Generated report, first {len(maps)} of {len(found)} sentences"
        return self._heat_maps(maps, "attention", title)

    def _heat_maps(self, maps: list[HeatMap], kind: str, title: str) -> str:
        views, names = self.dataset.pixels(self.number), self.dataset.views(self.number)
        return picture(
            lambda path: draw_heat_maps(
                views, names, maps, path, title=title, bar=COLOUR_BARS[kind], dpi=PICTURE_DPI
            ),
            f"{kind} maps",
        )

    def masked_versions(self) -> str:
        """Figure 8, and the masks of the two forms of MIM."""
        pixels = self._frontal()
        landmarks = mentioned_landmarks(self.dataset.study(self.number).report)
        shown = picture(
            lambda path: draw_masked_versions(
                pixels,
                shipped_atlas(),
                landmarks,
                path,
                grid=self.model.config.grid,
                seed=self.number,
                dpi=PICTURE_DPI,
            ),
            "masked versions",
        )
        named = ", ".join(landmarks) or "none"
        return f"{shown}<p class='note'>Landmarks of the reference: {escape(named)}.</p>"

    def reconstruction(self) -> str:
        """Figure 9a: the heart rebuilt under three reports.

        Raises:
            ModelError: The model was trained without masked patches.
            DataError: The reference says nothing on the heart, or no other study differs.
        """
        check_pixels(self.model)
        self._frontal()
        split = self.dataset.indices(self.dataset.study(self.number).split)
        one = exchange_of(self.dataset, split, self.number, HEART)
        reports = one.named_reports(self.dataset.study(one.donor).id)
        pixels = self.inputs["pixel_values"]
        assert pixels is not None
        title = f"Key patches of the {HEART} are all hidden"
        return picture(
            lambda path: draw_reports(
                *(self.model, self.processor, pixels[0, 0], HEART, reports, path),
                title=title,
                seed=self.number,
                dpi=PICTURE_DPI,
            ),
            "rebuilt images",
        )

    def words(self) -> str:
        """Figure 9b: hidden words, guessed with the study's image, another's and none.

        Raises:
            ModelError: The model was trained without masked words.
        """
        check_answers(self.model)
        texts = guessed_texts(self.model, self.processor, self.dataset, self.number, self.other)
        return "".join(
            f"<p class='words'><b>{escape(one.hides)} hidden:</b> "
            f"{' '.join(_word(word, guesses) for word, guesses in one.words)}</p>"
            for one in texts
        )

    def retrieval(self) -> str:
        """Figure 10: the reports of the split that fit the image best.

        Raises:
            ModelError: The model was trained without contrast.
        """
        check_contrast(self.model)
        assert self.index is not None
        study = self.dataset.study(self.number)
        query = {name: value for name, value in self.inputs.items() if value is not None}
        hits = find(
            *(self.model, self.processor, self.dataset, study.split, self.index, query),
            among="reports",
            count=_FOUND,
        )
        numbers = self.dataset.indices(study.split)
        shown = [
            Shown.of(self.dataset, int(numbers[hit.place]), f"{rank}.", hit.match, hit.similarity)
            for rank, hit in enumerate(hits, 1)
        ]
        first = Shown.of(self.dataset, self.number, "query; its own report:")
        title = "By contrastive similarity, then by [MATCH] if the model has it"
        return picture(
            lambda path: draw_retrieval(first, shown, path, title=title, dpi=PICTURE_DPI),
            "query and found studies",
        )

    def _frontal(self) -> np.ndarray:
        if self.dataset.views(self.number)[0] != "frontal":
            raise DataError("the study has no frontal image")
        return self.dataset.pixels(self.number)[0]


def _answer(name: str, present: float, label: int | None) -> str:
    state = "present" if present > 0.5 else "absent"
    reference = {1: "present", 0: "absent", -1: "uncertain", None: "not mentioned"}[label]
    return f"{name.lower()} is {state} ({max(present, 1 - present):.2f}); reference: {reference}"


def _word(word: str, guesses: tuple[str, ...] | None) -> str:
    if guesses is None:
        return escape(word)
    rows = "".join(
        f"<span class='{'right' if guess == word else 'wrong'}'>"
        f"{'✓' if guess == word else '✗'} {escape(guess)}</span>"
        for guess in guesses
    )
    titles = ", ".join(
        f"{name}: {guess}" for name, guess in zip(_CONDITION_NAMES.values(), guesses, strict=True)
    )
    return (
        f"<span class='hidden' title='{escape(titles, quote=True)}'>"
        f"<b>{escape(word)}</b>{rows}</span>"
    )


def picture(draw: Callable[[Path], None], words: str) -> str:
    """What a function draws into a PNG, as an image within the page.

    Args:
        draw: Writes the PNG.
        words: Instead of the image, for those who do not see it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.png"
        draw(path)
        packed = BytesIO()
        Image.open(path).convert("RGB").save(packed, "WEBP", quality=_QUALITY)
    return f'<div class="figure">{image(packed.getvalue(), words, "webp")}</div>'
