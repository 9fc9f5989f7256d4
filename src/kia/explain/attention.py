"""Where T-CMEnc looks when it fills in the label report (Paper: Sec. 4.5, Fig. 7).

Shape letters: B studies, W views, N patches of a view, L layers, H heads, T tokens.
"""

from collections.abc import Mapping
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
        ModelError: "present" or "absent" is not one word piece of the model's tokenizer.
    """
    masker, row, places = _masked_label_report(processor)
    moved = {name: value.to(model.device) for name, value in inputs.items() if value is not None}
    images = model.encode_images(**moved)
    tower = model.text_cross_encoder
    context = tower.stack.context(images.sequence, images.mask)
    layers: list[Tensor] = []

    def record(attention: CrossAttention, read: tuple[Tensor, Context, int]) -> None:
        x, source, layer = read
        layers.append(attention.weights(x[:, places], source, layer))

    with ExitStack() as hooks:
        for block in tower.stack.blocks:
            attention = cast(TransformerBlock, block).cross_attention
            hooks.enter_context(attention.register_forward_pre_hook(record))
        features = tower(row.to(model.device).expand(len(images.sequence), -1), context=context)
    logits = model.word_logits(features[:, places], tower)[..., masker.states]
    weights = torch.stack(layers).mean(dim=(0, 2))  # (L, B, H, 14, W·(1 + N)) → (B, 14, …)
    patches = weights.unflatten(-1, (moved["view_ids"].shape[1], -1))[..., 1:]
    total = patches.sum(dim=(-2, -1))
    return LabelAttention(
        present=logits.float().softmax(-1)[..., 0],
        patches=patches / total[..., None, None],
        class_share=1 - total,
    )


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
