"""Masked language modelling: hidden words are predicted from the report and its image.

Paper: Sec. 3.2, Eq. 5.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

from kia.data.batches.batch import Batch
from kia.models.kia import KIAModel
from kia.tasks.shared_features import Loss
from kia.tasks.text_rows import TextRows


def masked_language_rows(batch: Batch) -> TextRows:
    """The masked report or label report, for T-CMEnc with its own image."""
    assert batch.masked_input_ids is not None and batch.masked_attention_mask is not None
    return TextRows(batch.masked_input_ids, batch.masked_attention_mask)


def masked_language_loss(model: KIAModel, batch: Batch, features: Tensor) -> Loss:
    """Cross-entropy at the masked positions only (Paper: Eq. 5).

    Args:
        model: For its word head.
        batch: With `masked_positions` and `masked_targets`.
        features: (B, T, D) of the masked report.
    """
    assert batch.masked_positions is not None and batch.masked_targets is not None
    masked = features.flatten(0, 1)[batch.masked_positions]
    logits = model.word_logits(masked, model.text_cross_encoder)
    total = cross_entropy(logits.float(), batch.masked_targets, reduction="sum")
    return Loss(total, features.new_tensor(float(len(batch.masked_targets))).float())
