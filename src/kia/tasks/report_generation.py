"""Report generation: each word is predicted from those before it and the image.

Paper: Sec. 3.4, Eq. 8.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy

from kia.data.batches.batch import Batch
from kia.models.kia import KIAModel
from kia.tasks.shared_features import Loss
from kia.tasks.text_rows import TextRows, with_first_token


def report_generation_rows(model: KIAModel, batch: Batch) -> TextRows:
    """[START] and the report, for T-Dec with its own image."""
    ids = with_first_token(batch.input_ids, model.config.start_token_id)
    return TextRows(ids, batch.attention_mask, causal=True)


def report_generation_loss(
    model: KIAModel, batch: Batch, features: Tensor, label_smoothing: float = 0.0
) -> Loss:
    """Cross-entropy of the next token, [SEP] included, as a mean over tokens.

    Eq. 8 is a sum over the tokens of a report; the mean is ours (METHOD: longer reports do
    not weigh more, and λ5 = 1 stays comparable with the other losses).

    Args:
        model: For its word head.
        batch: With `next_positions` and `next_targets`.
        features: (B, T, D) of T-Dec.
        label_smoothing: Share of the target spread over the vocabulary.
    """
    ahead = features.flatten(0, 1)[batch.next_positions]
    logits = model.word_logits(ahead, model.text_decoder)
    total = cross_entropy(
        logits.float(), batch.next_targets, reduction="sum", label_smoothing=label_smoothing
    )
    return Loss(total, features.new_tensor(float(len(batch.next_targets))).float())
