"""Masked image modelling: hidden patches are predicted from the image and its report.

Paper: Sec. 3.2, Eq. 4.
"""

from kia.data.batches import Batch
from kia.models.image_encoder import patches_to_pixels
from kia.models.kia import KIAForReportGeneration
from kia.tasks.shared_features import Loss, SharedFeatures


def masked_image_loss(model: KIAForReportGeneration, batch: Batch, shared: SharedFeatures) -> Loss:
    """L1 between predicted and true pixels of the hidden patches only (Paper: Eq. 4).

    I-CMEnc reads the unmasked report's features as its context; the W views of a study share
    the report's keys and values.

    Returns:
        Sum of absolute differences over hidden pixels (normalised grey values, −1 to 1), and
        the number of those pixels.
    """
    assert shared.text is not None and batch.image_mask is not None
    assert batch.hidden_patches is not None
    encoder = model.image_cross_encoder
    context = encoder.stack.context(shared.text, batch.attention_mask)
    pixels = batch.pixel_values.flatten(0, 1)
    features = encoder(pixels, batch.image_mask.flatten(0, 1), context)[:, 1:]
    predicted = model.pixel_prediction(features.flatten(0, 1)[batch.hidden_patches])
    true = patches_to_pixels(pixels, encoder.patch_size).flatten(0, 1)[batch.hidden_patches]
    difference = (predicted.float() - true).abs()
    return Loss(difference.sum(), pixels.new_tensor(masked_image_count(model, batch)))


def masked_image_count(model: KIAForReportGeneration, batch: Batch) -> float:
    """Hidden pixels of a batch."""
    assert batch.hidden_patches is not None
    patch = model.image_cross_encoder.patch_size
    return float(batch.hidden_patches.numel() * batch.pixel_values.shape[2] * patch**2)
