"""T-Enc's features of reports, as the tasks read them in training."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kia.generation import report_rows
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor


@torch.no_grad()
def report_features(
    model: KIAModel, processor: KIAProcessor, reports: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Encodes reports; what the model cannot hold is cut off.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        reports: B texts; an empty one is [CLS] and [SEP].

    Returns:
        (B, T, D) features, [CLS] first, and (B, T) True on tokens, both on the model's device.
    """
    ids, real = report_rows(model, processor, reports)
    return model.text_encoder(ids, real[:, None, None, :]), real
