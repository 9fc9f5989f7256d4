"""What stands behind each sentence of a report: where the decoder looked, and a second opinion."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kia.errors import UsageError
from kia.evaluation.priors import sentence_spans
from kia.explain.attention.gradient import report_gradient
from kia.explain.attention.weights import ReportMaps, report_attention
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.labels.rules import label_reports
from kia.knowledge.radgraph import token_spans
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import KIAProcessor

Span = tuple[int, int]


@dataclass(frozen=True)
class Opinion:
    """What a sentence says of an observation, and what Label-MLM answers at its [MASK].

    Attributes:
        observation: One of the 14.
        said: 1 present, 0 absent, −1 uncertain.
        present: Probability of "present" at [MASK].
        agrees: Whether the answer is the same; None where the sentence leaves it open.
    """

    observation: str
    said: int
    present: float
    agrees: bool | None


@dataclass(frozen=True)
class SentenceEvidence:
    """One sentence of a report.

    Attributes:
        text: As in the report.
        finding_words: Its words that name an observation or an anatomy.
        probability: Geometric mean of the probabilities of its word pieces.
        kind: Of the map: "attention" or "gradient".
        map: (W, N), mean over its finding words, or over all of its words where it has none;
            sum 1.
        opinions: On the observations that it mentions.
    """

    text: str
    finding_words: tuple[str, ...]
    probability: float
    kind: str
    map: NDArray[np.float32]
    opinions: tuple[Opinion, ...]

    @property
    def agrees(self) -> bool | None:
        """False if an opinion is another, True if all that answer agree; None without any."""
        answers = [opinion.agrees for opinion in self.opinions if opinion.agrees is not None]
        return all(answers) if answers else None


def report_evidence(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
    reports: Sequence[str],
    answers: Tensor | None,
    kind: str = "attention",
    reference: Tensor | None = None,
) -> list[list[SentenceEvidence]]:
    """The evidence for every sentence of reports, written by the model or by anyone.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None; or
            B studies, encoded.
        reports: B texts.
        answers: (B, 14) of these studies (`kia.agreement.label_answers`); None gives no opinions.
        kind: Of the maps: "attention", or "gradient", which needs the studies as images.
        reference: For gradients (`gradient.mean_images`).

    Raises:
        UsageError: Gradients of studies that are encoded already.
    """
    if kind == "attention":
        read = report_attention(model, processor, inputs, reports)
    elif isinstance(inputs, ImageFeatures):
        raise UsageError("gradients need the images, not their features")
    else:
        read = report_gradient(model, processor, inputs, reports, reference)
    return [_sentences(one, answers, row, kind) for row, one in enumerate(read)]


def _sentences(
    report: ReportMaps, answers: Tensor | None, row: int, kind: str
) -> list[SentenceEvidence]:
    read = report.spans[-1][1] if report.spans else 0  # the model may not hold all of the text
    spans = sentence_spans(report.text[:read])
    texts = [report.text[start:stop] for start, stop in spans]
    labels = label_reports(texts)
    words = _finding_words(report.text)
    return [
        _one(report, text, span, words, kind, _opinions(said, answers, row))
        for text, span, said in zip(texts, spans, labels, strict=True)
    ]


def _one(
    report: ReportMaps,
    text: str,
    span: Span,
    words: list[Span],
    kind: str,
    opinions: list[Opinion],
) -> SentenceEvidence:
    inside = [piece for piece, place in enumerate(report.spans) if _overlap(place, span)]
    named = [word for word in words if _overlap(word, span)]
    chosen = [p for p in inside if any(_overlap(report.spans[p], word) for word in named)] or inside
    return SentenceEvidence(
        text=text,
        finding_words=tuple(report.text[start:stop] for start, stop in named),
        probability=math.exp(report.probability[inside].log().mean().item()),
        kind=kind,
        map=report.maps[chosen].mean(0).cpu().numpy(),
        opinions=tuple(opinions),
    )


def _opinions(said: Mapping[str, int | None], answers: Tensor | None, row: int) -> list[Opinion]:
    if answers is None:
        return []
    found = []
    for place, name in enumerate(OBSERVATIONS):
        value = said[name]
        if value is None or name == "No Finding":  # which is said by a report, not by a sentence
            continue
        present = answers[row, place].item()
        agrees = None if value == -1 else (present > 0.5) == (value == 1)
        found.append(Opinion(name, value, present, agrees))
    return found


def _finding_words(text: str) -> list[Span]:
    """Where the entities of a report lie, in characters."""
    places = token_spans(text)
    entities = extract_graphs([text])[0].entities.values()
    return [(places[entity.start_ix][0], places[entity.end_ix][1]) for entity in entities]


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]
