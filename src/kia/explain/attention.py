"""Where the text tower looks: [MASK] of the label report (Paper: Sec. 4.5, Fig. 7), and words.

Shape letters: B studies, W views, N patches of a view, L layers, H heads, T tokens.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from kia.config import MaskedLanguageConfig
from kia.data.masked_text import TextMasker
from kia.errors import ModelError
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.kia import KIAForReportGeneration
from kia.models.outputs import ImageFeatures
from kia.models.text_transformer import TextTransformer
from kia.models.transformer_block import Context, CrossAttention, TransformerBlock
from kia.processing import EncodedReport, KIAProcessor
from kia.studies import Study


@dataclass(frozen=True)
class LabelAttention:
    """The answers at the 14 [MASK] of the label report, and where each of them looks.

    The second axis has the order of OBSERVATIONS.

    Attributes:
        present: (B, 14), probability of "present" against "absent".
        patches: (B, 14, W, N), attention on each patch, row by row; with sum 1 over the views
            that exist and 0 on those that do not.
        class_share: (B, 14), share of the attention that the views' [CLS] got; `patches` leaves
            it out, because it has no place in the image.
    """

    present: Tensor
    patches: Tensor
    class_share: Tensor


@dataclass(frozen=True)
class ReportAttention:
    """Where T-Dec looks when it writes each word piece of one report.

    Attributes:
        text: The report as it was read.
        spans: First character of each of the T pieces in `text`, and the one after its last.
        probability: (T,), of each piece after those before it.
        patches: (T, W, N), attention on each patch, with sum 1 over the views that exist.
    """

    text: str
    spans: list[tuple[int, int]]
    probability: Tensor
    patches: Tensor


@torch.no_grad()
def label_attention(
    model: KIAForReportGeneration, processor: KIAProcessor, inputs: Mapping[str, Tensor | None]
) -> LabelAttention:
    """Fills in the label report for images and says where the [MASK] tokens look.

    All of its present/absent words are hidden, so it is the same text for every study. Attention
    is the mean over heads and over layers (the paper does not say): every layer adds what it
    reads to the feature of [MASK], and a mean leaves no layer to be chosen for its picture.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None.

    Raises:
        ModelError: "present" or "absent" is not one word piece of the model's tokenizer, or the
            model cannot read a text as long as the label report.
    """
    masker, row, places = _masked_label_report(processor)
    if len(row) > model.config.max_tokens:
        raise ModelError(
            f"the label report has {len(row)} word pieces and the model reads "
            f"{model.config.max_tokens}: train it with a larger model.text_encoder.max_positions"
        )
    moved = {name: value.to(model.device) for name, value in inputs.items() if value is not None}
    images = model.encode_images(**moved)
    tower = model.text_cross_encoder
    rows = row.to(model.device).expand(len(images.sequence), -1)
    features, weights = _read(tower, images, rows, causal=False, places=places)
    logits = model.word_logits(features, tower)[..., masker.states]
    patches, total = _on_patches(weights, moved["view_ids"].shape[1])
    return LabelAttention(
        present=logits.float().softmax(-1)[..., 0], patches=patches, class_share=1 - total
    )


@torch.no_grad()
def report_attention(
    model: KIAForReportGeneration,
    processor: KIAProcessor,
    inputs: Mapping[str, Tensor | None],
    reports: Sequence[str],
) -> list[ReportAttention]:
    """Where the decoder looks for the words of generated or of given reports.

    A piece is written from the place of the piece before it, whose attention is therefore that
    of the piece; layers and heads as in `label_attention`.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: As for `label_attention`, B studies.
        reports: B texts; what the model cannot hold is cut off.
    """
    longest = model.config.max_tokens - 1
    encoded = processor.encode_spans(reports, max_words=longest, max_tokens=longest)
    lengths = [len(report.ids) for report in encoded]
    ids = torch.full((len(encoded), 1 + max(lengths, default=0)), processor.token_id("[PAD]"))
    ids[:, 0] = processor.token_id("[START]")
    for row, report in zip(ids, encoded, strict=True):
        row[1 : 1 + len(report.ids)] = torch.tensor(report.ids, dtype=torch.int64)
    ids = ids.to(model.device)
    moved = {name: value.to(model.device) for name, value in inputs.items() if value is not None}
    images = model.encode_images(**moved)
    tower, places = model.text_decoder, torch.arange(ids.shape[1] - 1)
    features, weights = _read(tower, images, ids, causal=True, places=places)
    chances = model.word_logits(features, tower).float().softmax(-1)
    written = chances.gather(-1, ids[:, 1:, None])[..., 0]
    patches, _ = _on_patches(weights, moved["view_ids"].shape[1])
    return [
        ReportAttention(report.text, report.spans, written[row, :length], patches[row, :length])
        for row, (report, length) in enumerate(zip(encoded, lengths, strict=True))
    ]


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


def _masked_label_report(processor: KIAProcessor) -> tuple[TextMasker, Tensor, Tensor]:
    """Label-MLM's masker, its row (T,) as in training, and the 14 places of [MASK] in it."""
    masker = TextMasker(processor, MaskedLanguageConfig(masking="label"), seed=0)
    study = Study(id="", split="val", images=(), report="", labels={})
    rows = masker.rows([study], np.zeros(1, np.int64), [EncodedReport("", [], [])], epoch=0)
    places = np.flatnonzero(rows.chosen[0])
    if len(places) != len(OBSERVATIONS):
        raise ModelError(
            f"the tokenizer reads {len(places)} present/absent words in the label report instead "
            f"of {len(OBSERVATIONS)}: its vocabulary needs both words"
        )
    return masker, torch.from_numpy(rows.input_ids[0]), torch.from_numpy(places)
