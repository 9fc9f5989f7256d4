"""Everything that a person or a program is told about a study: the report and what backs it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kia.agreement import label_answers
from kia.candidates import Candidate, final_texts, report_candidates
from kia.config import GenerationConfig, Rerank
from kia.explain.evidence import SentenceEvidence, report_evidence
from kia.generation import image_features
from kia.knowledge.chexpert import OBSERVATIONS
from kia.matching import matching_degree
from kia.models.decoding import Streamer
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import KIAProcessor
from kia.readable import NOTICE, readable


@torch.no_grad()
def describe(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
    settings: GenerationConfig,
    *,
    candidates: int | None = None,
    rerank: Rerank | None = None,
    seed: int = 0,
    streamer: Streamer | None = None,
    whole_sentences: bool = True,
) -> list[dict[str, Any]]:
    """Writes the reports of a batch and says what stands behind them, ready for JSON.

    The images are encoded once. A study's report does not depend on its batch.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None; or
            B studies, encoded.
        settings: Decoding settings (`kia.generation.generation_settings`).
        candidates: Instead of `settings.candidates`.
        rerank: Instead of `settings.rerank`.
        seed: Of the candidates that are drawn.
        streamer: Of `kia.candidates.report_candidates`.
        whole_sentences: Mend reports by the sentence (`kia.wording`), if the model has what that
            needs.

    Returns:
        For each study:

        - `report`: for people (`kia.readable`); `raw`: the decoder's own words, for scoring.
        - `match`: matching degree, 0 to 1; None of a model without image-report matching.
        - `candidates`: `report`, `raw`, `match`, `log_probability` (natural logarithm, of the
          whole report) and `score` (by `rerank`, None without) of each, the chosen one first;
          empty where there was one alone.
        - `sentences`: `text` and `raw` of each; `probability`, the geometric mean of its word
          pieces; `finding_words`; `attention`, for each view rows of patches, with sum 1 over the
          views; `opinions` of the label task, each with `observation`, `said` (1 present, 0
          absent, −1 uncertain), `present` (probability) and `agrees` (None where the sentence is
          uncertain); `agrees`: False if an opinion is another, None without any.
        - `findings`: observation → probability of "present"; None of a model that cannot fill in
          the label report; `notice`: not for clinical use.

    Raises:
        ModelError: `rerank` needs [MATCH] or labels, and the model was trained without them.
    """
    asked = {"candidates": candidates, "rerank": rerank}
    settings = settings.model_copy(update={k: v for k, v in asked.items() if v is not None})
    images = image_features(model, inputs)
    found = report_candidates(model, processor, images, settings, seed=seed, streamer=streamer)
    raw = final_texts(processor, [[c.text for c in own] for own in found], whole_sentences)
    match = _matches(model, processor, images, found, raw)
    answers = label_answers(model, processor, images)
    evidence = report_evidence(model, processor, images, raw, answers)
    grid = model.config.grid
    present = None if answers is None else answers.tolist()
    return [
        _report(raw[study], match[study], own, settings)
        | {
            "sentences": _sentences(evidence[study], grid, _views(images, study, grid**2)),
            "findings": present and dict(zip(OBSERVATIONS, present[study], strict=True)),
        }
        for study, own in enumerate(found)
    ]


def _matches(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures,
    found: list[list[Candidate]],
    raw: list[str],
) -> list[float | None]:
    """Matching degrees of reports; those that were mended are matched again."""
    match = [own[0].match for own in found]
    new = [study for study, own in enumerate(found) if raw[study] != own[0].text]
    if new and model.trained_on("irm"):
        degrees = matching_degree(model, processor, images, [raw[study] for study in new], new)
        for study, degree in zip(new, degrees.tolist(), strict=True):
            match[study] = degree
    return match


def _report(
    raw: str, match: float | None, own: list[Candidate], settings: GenerationConfig
) -> dict[str, Any]:
    return {
        "report": readable(raw),
        "raw": raw,
        "match": match,
        "candidates": _candidates(own, settings) if settings.candidates > 1 else [],
        "notice": NOTICE,
    }


def _candidates(own: list[Candidate], settings: GenerationConfig) -> list[dict[str, Any]]:
    chooses = settings.rerank != "none"
    return [
        {
            "report": readable(one.text),
            "raw": one.text,
            "match": one.match,
            "log_probability": one.log_probability,
            "score": one.score(settings.rerank) if chooses else None,
        }
        for one in own
    ]


def _views(images: ImageFeatures, study: int, patches: int) -> list[bool]:
    """Which views of a study exist."""
    if images.mask is None:
        return [True] * (images.sequence.shape[1] // (1 + patches))
    return images.mask[study, :: 1 + patches].tolist()


def _sentences(found: list[SentenceEvidence], grid: int, views: list[bool]) -> list[dict[str, Any]]:
    """Those of which something is left to be read."""
    written = []
    for one in found:
        text = readable(one.text)
        if not text:
            continue
        written.append(
            {
                "text": text,
                "raw": one.text,
                "probability": one.probability,
                "finding_words": list(one.finding_words),
                "attention": one.map[views].reshape(-1, grid, grid).tolist(),
                "opinions": [vars(opinion) for opinion in one.opinions],
                "agrees": one.agrees,
            }
        )
    return written
