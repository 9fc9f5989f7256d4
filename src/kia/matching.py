"""Matching degree: how well a report fits an image, by [MATCH] (Paper: Sec. 4.5, Fig. 12)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kia.errors import ModelError
from kia.generation import image_features, report_rows
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import KIAProcessor


@torch.no_grad()
def matching_degree(
    model: KIAModel,
    processor: KIAProcessor,
    images: ImageFeatures | Mapping[str, Tensor | None],
    reports: Sequence[str],
    studies: Sequence[int] | Tensor | None = None,
) -> Tensor:
    """Probability that each report belongs to its image.

    Args:
        model: In evaluation mode, trained with IRM.
        processor: Of the same model.
        images: B studies, encoded (`model.encode_images`) or as `encode_images` takes them.
        reports: R texts; what the model cannot hold is cut off.
        studies: (R,) number of the study, from 0, that each report is compared with; None if
            R = B and they come in the same order.

    Returns:
        (R,) from 0 to 1, on the model's device.

    Raises:
        ModelError: The model has no [MATCH] head.
    """
    if not model.trained_on("irm"):
        raise ModelError("this model was trained without image-report matching (tasks.irm.weight)")
    images = image_features(model, images)
    ids, real = report_rows(model, processor, reports, "[MATCH]")
    chosen = None if studies is None else torch.as_tensor(studies, device=model.device)
    tower = model.text_cross_encoder
    context = tower.stack.context(images.sequence, images.mask, chosen)
    features = tower(ids, real[:, None, None, :], context=context)
    return model.match_prediction(features[:, 0]).float().softmax(-1)[:, 1]
