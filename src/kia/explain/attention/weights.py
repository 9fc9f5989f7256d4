"""Where the text tower looks: [MASK] of the label report (Paper: Sec. 4.5, Fig. 7), and words.

Shape letters: B studies, W views, N patches of a view, L layers, H heads, T tokens.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from kia.agreement import masked_label_report
from kia.generation import image_features
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.models.text_transformer import TextTransformer
from kia.models.transformer_block import Context, CrossAttention, TransformerBlock
from kia.processing import EncodedReport, KIAProcessor


@dataclass(frozen=True)
class LabelMaps:
    """The answers at the 14 [MASK] of the label report, and a map of the image for each.

    The second axis has the order of OBSERVATIONS.

    Attributes:
        present: (B, 14), probability of "present" against "absent".
        maps: (B, 14, W, N), not negative, row by row; with sum 1 over the views that exist and 0
            on those that do not.
        class_share: (B, 14), share of the attention that the views' [CLS] got; `maps` leaves it
            out, because it has no place in the image. None for gradients.
    """

    present: Tensor
    maps: Tensor
    class_share: Tensor | None = None


@dataclass(frozen=True)
class ReportMaps:
    """A map of the image for each word piece of one report, as T-Dec writes it.

    Attributes:
        text: The report as it was read.
        spans: First character of each of the T pieces in `text`, and the one after its last.
        probability: (T,), of each piece after those before it.
        maps: (T, W, N), not negative, with sum 1 over the views that exist.
    """

    text: str
    spans: list[tuple[int, int]]
    probability: Tensor
    maps: Tensor


@torch.no_grad()
def label_attention(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
) -> LabelMaps:
    """Fills in the label report for images and says where the [MASK] tokens look.

    All of its present/absent words are hidden, so it is the same text for every study. Attention
    is the mean over heads and over layers (the paper does not say): on phantom validation data no
    other choice that can be named beforehand points better (docs/figures.md).

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None; or
            B studies, encoded.

    Raises:
        ModelError: "present" or "absent" is not one word piece of the model's tokenizer, or the
            model cannot read a text as long as the label report.
    """
    masker, row, places = masked_label_report(model, processor)
    images, views = encoded_images(model, inputs)
    tower = model.text_cross_encoder
    rows = row.expand(len(images.sequence), -1)
    features, weights = _read(tower, images, rows, causal=False, places=places)
    logits = model.word_logits(features, tower)[..., masker.states]
    maps, total = _on_patches(weights, views)
    return LabelMaps(logits.float().softmax(-1)[..., 0], maps, class_share=1 - total)


@torch.no_grad()
def report_attention(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
    reports: Sequence[str],
) -> list[ReportMaps]:
    """Where the decoder looks for the words of generated or of given reports.

    A piece is written from the place of the piece before it, whose attention is therefore that
    of the piece; layers and heads as in `label_attention`.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: As for `label_attention`, B studies.
        reports: B texts; what the model cannot hold is cut off.
    """
    encoded, ids = started_reports(model, processor, reports)
    images, views = encoded_images(model, inputs)
    tower, places = model.text_decoder, torch.arange(ids.shape[1] - 1)
    features, weights = _read(tower, images, ids, causal=True, places=places)
    chances = model.word_logits(features, tower).float().softmax(-1)
    written = chances.gather(-1, ids[:, 1:, None])[..., 0]
    return report_maps(encoded, written, _on_patches(weights, views)[0])


def report_maps(
    encoded: Sequence[EncodedReport], written: Tensor, maps: Tensor
) -> list[ReportMaps]:
    """Cuts probabilities (B, T) and maps (B, T, W, N) to the lengths of B reports."""
    return [
        ReportMaps(report.text, report.spans, chances[: len(report.ids)], own[: len(report.ids)])
        for report, chances, own in zip(encoded, written, maps, strict=True)
    ]


def encoded_images(
    model: KIAModel, inputs: ImageFeatures | Mapping[str, Tensor | None]
) -> tuple[ImageFeatures, int]:
    """Features of studies, on the model's device, and how many views W they have at most."""
    images = image_features(model, inputs)
    return images, images.sequence.shape[1] // (1 + model.config.grid**2)


def started_reports(
    model: KIAModel, processor: KIAProcessor, reports: Sequence[str]
) -> tuple[list[EncodedReport], Tensor]:
    """Reports as T-Dec reads them: rows (B, 1 + T) after [START], padded, on its device."""
    longest = model.config.max_tokens - 1
    encoded = processor.encode_spans(reports, max_words=longest, max_tokens=longest)
    most = max((len(report.ids) for report in encoded), default=0)
    ids = torch.full((len(encoded), 1 + most), processor.token_id("[PAD]"))
    ids[:, 0] = processor.token_id("[START]")
    for row, report in zip(ids, encoded, strict=True):
        row[1 : 1 + len(report.ids)] = torch.tensor(report.ids, dtype=torch.int64)
    return encoded, ids.to(model.device)


def _read(
    tower: TextTransformer, images: ImageFeatures, ids: Tensor, *, causal: bool, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Runs a text tower over rows (B, T) with the images as context.

    Returns:
        Features (B, P, D) at `places` (P,), and how they mix the context, (B, P, W·(1 + N)):
        the mean over layers and heads.
    """
    context = tower.stack.context(images.sequence, images.mask)
    layers: list[Tensor] = []

    def record(attention: CrossAttention, read: tuple[Tensor, Context, int]) -> None:
        x, source, layer = read
        layers.append(attention.weights(x[:, places], source, layer).mean(1))

    with ExitStack() as hooks:
        for block in tower.stack.blocks:
            attention = cast(TransformerBlock, block).cross_attention
            hooks.enter_context(attention.register_forward_pre_hook(record))
        features = tower(ids, causal=causal, context=context)
    return features[:, places], torch.stack(layers).mean(0)


def _on_patches(weights: Tensor, views: int) -> tuple[Tensor, Tensor]:
    """(B, P, W·(1 + N)) → what falls on patches, with sum 1 (B, P, W, N), and its share (B, P)."""
    patches = weights.unflatten(-1, (views, -1))[..., 1:]
    total = patches.sum(dim=(-2, -1))
    return patches / total[..., None, None], total
