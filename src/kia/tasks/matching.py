"""Image-report matching (the field's ITM) with hard negatives.

Paper: Sec. 3.3, Eq. 7. Shape letters: B studies, G studies of all ranks, T tokens, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kia.data.batches.batch import Batch
from kia.models import ranks
from kia.models.kia import KIAModel
from kia.tasks.shared_features import Loss, SharedFeatures
from kia.tasks.text_rows import TextRows, with_first_token


@dataclass(frozen=True)
class Negatives:
    """One wrong report for each image and one wrong image for each report, over all ranks.

    Attributes:
        reports: (G,) study whose report is paired with image g.
        images: (G,) study whose image is paired with report g.
        exist: (G,), False where every report of the batch equals report g.
        first: This rank's first study.
        studies: How many this rank has, B.
        reported: (B,), False for this rank's studies without a report.
    """

    reports: Tensor
    images: Tensor
    exist: Tensor
    first: int
    studies: int
    reported: Tensor

    @property
    def own(self) -> slice:
        """The places of this rank's studies."""
        return slice(self.first, self.first + self.studies)

    def met_here(self) -> Tensor:
        """(E,) reports whose wrong image is this rank's: the report comes to the image."""
        if ranks.count() == 1:
            return torch.arange(self.studies, device=self.images.device)
        here = (self.images >= self.first) & (self.images < self.first + self.studies)
        return here.nonzero()[:, 0]


@torch.no_grad()
def draw_negatives(batch: Batch, shared: SharedFeatures, temperature: Tensor | None) -> Negatives:
    """Draws wrong pairs in proportion to their contrastive similarity (ALBEF's hard negatives).

    As in ALBEF, similarities are of a study's own feature and the others' momentum features. A pair
    with a word-for-word equal report is never drawn, nor one of a study without a report. Without
    IRC all wrong pairs are equally likely. Several ranks draw from the studies of all of them, and
    rank 0's draw counts.
    """
    allowed = wrong_pairs(shared.report_ids, shared.report_ids)
    exist = allowed.any(1)
    to_report = to_image = torch.zeros(allowed.shape, device=allowed.device)
    if shared.image_embeds is not None and shared.text_embeds is not None:
        assert shared.momentum_image_embeds is not None and temperature is not None
        assert shared.momentum_text_embeds is not None
        images, reports = ranks.gathered(shared.image_embeds), ranks.gathered(shared.text_embeds)
        to_report = images @ shared.momentum_text_embeds.T / temperature
        to_image = reports @ shared.momentum_image_embeds.T / temperature

    def draw(scores: Tensor) -> Tensor:
        # where nothing is allowed, all weigh the same; the row is not counted
        scores = scores.masked_fill(~allowed & exist[:, None], -torch.inf)
        # scores that are not finite make the loss so, and the step is left out for it
        return torch.multinomial(scores.softmax(1).nan_to_num(1.0), 1)[:, 0]

    drawn = ranks.from_first(torch.stack([draw(to_report), draw(to_image)]))
    reported = batch.report_ids >= 0
    return Negatives(drawn[0], drawn[1], exist, shared.first, len(reported), reported)


def wrong_pairs(own: Tensor, others: Tensor) -> Tensor:
    """(n, m) True where two report numbers are of different reports; −1 is of none."""
    return (own[:, None] != others[None]) & (own[:, None] >= 0) & (others[None] >= 0)


def matching_rows(model: KIAModel, batch: Batch, negatives: Negatives) -> dict[str, TextRows]:
    """[MATCH] and a report: right pairs, wrong reports, wrong images.

    [MATCH] stands in the place of [CLS], as the first token of the row.
    """
    ids = with_first_token(batch.input_ids, model.config.match_token_id)
    mask = batch.attention_mask
    all_ids, all_masks = ranks.gathered(ids), ranks.gathered(mask)
    wrong, here = negatives.reports[negatives.own], negatives.met_here()
    return {
        "match": TextRows(ids, mask),
        "wrong_report": TextRows(all_ids[wrong], all_masks[wrong]),
        "wrong_image": TextRows(
            all_ids[here], all_masks[here], images=negatives.images[here] - negatives.first
        ),
    }


def matching_count(own: Tensor, everyone: Tensor) -> float:
    """Pairs that this rank's studies bring in; over all ranks, those that the losses count.

    Args:
        own: (B,) report numbers.
        everyone: (G,) report numbers of all ranks.
    """
    exist = wrong_pairs(own, everyone).any(1)
    return float((own >= 0).sum()) + 2.0 * int(exist.sum())


def matching_loss(model: KIAModel, features: dict[str, Tensor], negatives: Negatives) -> Loss:
    """Cross-entropy of match against no match over the pairs (Paper: Eq. 7).

    Args:
        model: For its matching head.
        features: (B, T, D) by kind, see `matching_rows`.
        negatives: Rows without a negative count only their right pair.
    """
    kinds = ("match", "wrong_report", "wrong_image")
    first = torch.cat([features[kind][:, 0] for kind in kinds])
    exist = negatives.exist
    target = torch.zeros(len(first), dtype=torch.long, device=first.device)
    target[: negatives.studies] = 1
    weight = torch.cat(
        [negatives.reported, exist[negatives.own], exist[negatives.met_here()]]
    ).float()
    each = cross_entropy(model.match_prediction(first).float(), target, reduction="none")
    return Loss((each * weight).sum(), weight.sum())
