"""Image-report matching (the field's ITM) with hard negatives.

Paper: Sec. 3.3, Eq. 7. Shape letters: B studies, T tokens, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kia.data.batches import Batch
from kia.models.kia import KIAForReportGeneration
from kia.tasks.shared_features import Loss, SharedFeatures
from kia.tasks.text_rows import TextRows, with_first_token


@dataclass(frozen=True)
class Negatives:
    """One wrong report for each image and one wrong image for each report.

    Attributes:
        reports: (B,) study whose report is paired with image b.
        images: (B,) study whose image is paired with report b.
        exist: (B,), False where every report of the batch equals report b.
    """

    reports: Tensor
    images: Tensor
    exist: Tensor


@torch.no_grad()
def draw_negatives(batch: Batch, shared: SharedFeatures, temperature: Tensor | None) -> Negatives:
    """Draws wrong pairs in proportion to their contrastive similarity (ALBEF's hard negatives).

    A pair with a word-for-word equal report is never drawn. Without IRC all wrong pairs are
    equally likely.
    """
    allowed = batch.report_ids[:, None] != batch.report_ids[None]
    exist = allowed.any(1)
    if shared.image_embeds is None or shared.text_embeds is None or temperature is None:
        image_to_report = torch.zeros(allowed.shape, device=allowed.device)
    else:
        image_to_report = shared.image_embeds @ shared.text_embeds.T / temperature

    def draw(scores: Tensor) -> Tensor:
        # where nothing is allowed, all weigh the same; the row is not counted
        scores = scores.masked_fill(~allowed & exist[:, None], -torch.inf)
        return torch.multinomial(scores.softmax(1), 1)[:, 0]

    return Negatives(draw(image_to_report), draw(image_to_report.T), exist)


def matching_rows(
    model: KIAForReportGeneration, batch: Batch, negatives: Negatives
) -> dict[str, TextRows]:
    """[MATCH] and a report: right pairs, wrong reports, wrong images.

    [MATCH] stands in the place of [CLS], as the first token of the row.
    """
    ids = with_first_token(batch.input_ids, model.config.match_token_id)
    mask = batch.attention_mask
    return {
        "match": TextRows(ids, mask),
        "wrong_report": TextRows(ids[negatives.reports], mask[negatives.reports]),
        "wrong_image": TextRows(ids, mask, images=negatives.images),
    }


def matching_loss(
    model: KIAForReportGeneration, features: dict[str, Tensor], negatives: Negatives
) -> Loss:
    """Cross-entropy of match against no match over the pairs (Paper: Eq. 7).

    Args:
        model: For its matching head.
        features: (B, T, D) by kind, see `matching_rows`.
        negatives: Rows without a negative count only their right pair.
    """
    kinds = ("match", "wrong_report", "wrong_image")
    first = torch.cat([features[kind][:, 0] for kind in kinds])
    studies = len(negatives.exist)
    target = torch.zeros(3 * studies, dtype=torch.long, device=first.device)
    target[:studies] = 1
    weight = torch.cat([torch.ones_like(negatives.exist), negatives.exist, negatives.exist]).float()
    each = cross_entropy(model.match_prediction(first).float(), target, reduction="none")
    return Loss((each * weight).sum(), weight.sum())
