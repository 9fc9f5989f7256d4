"""Masked image modelling: hidden patches are predicted from the image and its report.

Paper: Sec. 3.2, Eq. 4.
"""

import torch
from torch import Tensor

from kia.data.batches.batch import Batch
from kia.models.image_encoder import patches_to_pixels
from kia.models.kia import KIAModel
from kia.tasks.shared_features import Loss, SharedFeatures


def masked_image_loss(model: KIAModel, batch: Batch, shared: SharedFeatures) -> Loss:
    """L1 between predicted and true pixels of the hidden patches only (Paper: Eq. 4).

    I-CMEnc reads the unmasked report's features as its context; the W views of a study share
    the report's keys and values.

    Returns:
        Sum of absolute differences over hidden pixels (normalised grey values, −1 to 1), and
        the number of those pixels.
    """
    assert shared.text is not None and batch.image_mask is not None
    assert batch.hidden_patches is not None
    pixels = batch.pixel_values.flatten(0, 1)
    image_mask = batch.image_mask.flatten(0, 1)
    predicted, true = hidden_pixels(
        *(model, pixels, image_mask, batch.hidden_patches, shared.text, batch.attention_mask),
        exists=None if batch.view_mask is None else batch.view_mask.flatten(),
    )
    difference = (predicted.float() - true).abs()
    return Loss(difference.sum(), pixels.new_tensor(masked_image_count(model, batch)))


def hidden_pixels(
    model: KIAModel,
    pixels: Tensor,
    image_mask: Tensor,
    patches: Tensor,
    text: Tensor,
    attention_mask: Tensor,
    exists: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """What I-CMEnc and the pixel head make of hidden patches, and what is there.

    Args:
        model: With the pixel head of MIM.
        pixels: (R, C, S, S), normalised; the R images come report by report, R / B each.
        image_mask: (R, N), True where a patch is hidden.
        patches: (M,) flat positions in (R, N) of the hidden patches that are wanted.
        text: (B, T, D) features of the unmasked reports.
        attention_mask: (B, T), True on their tokens.
        exists: (R,), False for absent views, which are not computed and hold no hidden patch; the
            first view of each report exists. None if all do.

    Returns:
        Predicted and true pixels, (M, C·p·p) each.
    """
    encoder = model.image_cross_encoder
    true = patches_to_pixels(pixels, encoder.patch_size).flatten(0, 1)[patches]
    chosen = None
    if exists is not None:
        rows, chosen = _existing_rows(exists, len(text))
        patches = _places_among(rows, patches, image_mask.shape)
        pixels, image_mask = pixels.index_select(0, rows), image_mask.index_select(0, rows)
    context = encoder.stack.context(text, attention_mask, chosen)
    features = encoder(pixels, image_mask, context)[:, 1:]
    return model.pixel_prediction(features.flatten(0, 1)[patches]), true


def _existing_rows(exists: Tensor, reports: int) -> tuple[Tensor, Tensor]:
    """Images that exist as `Context` orders rows: the first of each report, then the others.

    Returns:
        Their places in (R,), and the reports (E,) of the others.
    """
    views = len(exists) // reports if reports else 1
    number = torch.arange(len(exists), device=exists.device)
    others = number[exists & (number % views > 0)]
    return torch.cat([number[::views], others]), others // views


def _places_among(rows: Tensor, patches: Tensor, shape: torch.Size) -> Tensor:
    """Flat positions in (R, N) → the same patches in (len(rows), N)."""
    place = rows.new_zeros(shape[0])
    place[rows] = torch.arange(len(rows), device=rows.device)
    return place[patches // shape[1]] * shape[1] + patches % shape[1]


def masked_image_count(model: KIAModel, batch: Batch) -> float:
    """Hidden pixels of a batch."""
    assert batch.hidden_patches is not None
    patch = model.image_cross_encoder.patch_size
    return float(batch.hidden_patches.numel() * batch.pixel_values.shape[2] * patch**2)
