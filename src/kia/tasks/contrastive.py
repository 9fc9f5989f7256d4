"""Image-report contrastive learning (the field's ITC) with momentum features and queues.

Paper: Sec. 3.3, Eq. 6. Shape letters: B studies, G studies of all ranks, P projection width,
K = G + Q candidates.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from kia.config import ContrastiveConfig
from kia.data.batches.batch import Batch
from kia.models.momentum import FeatureQueue
from kia.tasks.shared_features import Loss, SharedFeatures

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.001, 0.5


class ContrastiveTask(nn.Module):
    """The loss of Eq. 6 and its learnable temperature τ.

    log τ is what is learnt: the gradient by τ itself is 1/τ times larger and would take up
    nearly all of the norm at which gradients are clipped.
    """

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        self.log_temperature = nn.Parameter(torch.tensor(config.temperature).log())
        self.clamp_temperature()

    @property
    def temperature(self) -> Tensor:
        """τ, kept between 0.001 and 0.5 as in ALBEF."""
        lowest, highest = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
        return self.log_temperature.clamp(lowest, highest).exp()

    @torch.no_grad()
    def clamp_temperature(self) -> None:
        """Takes τ back into its range after a step; outside it has no gradient to return by."""
        self.log_temperature.clamp_(math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))

    def forward(self, batch: Batch, shared: SharedFeatures, queue: FeatureQueue) -> Loss:
        """Cross-entropy in both directions against momentum features of this batch and queue.

        With several ranks, "this batch" is that of all of them, and the queue is the same on each.
        Filled queue slots are candidates; empty ones are not. A report that equals the own one (and
        so every older copy of the same study) is never a negative: with `same_report_is_positive`
        the target is spread over all of them, without it they are no candidates and the target is
        one-hot, as in Eq. 6. `soft_targets` mixes in the momentum similarities. Studies without a
        report (number −1) have no loss and are no candidates.
        """
        assert shared.image_embeds is not None and shared.text_embeds is not None
        assert shared.momentum_image_embeds is not None
        assert shared.momentum_text_embeds is not None
        images = torch.cat([shared.momentum_image_embeds, queue.images])
        reports = torch.cat([shared.momentum_text_embeds, queue.reports])
        report_ids = torch.cat([shared.report_ids, queue.report_ids])
        own = torch.arange(len(batch.report_ids), device=report_ids.device) + shared.first
        reported = batch.report_ids >= 0
        own = own[reported]
        tau = self.temperature
        out, targets = self._out_and_targets(own, report_ids)
        total = shared.image_embeds.new_zeros(())
        for ours, slow, candidates in (
            (shared.image_embeds, shared.momentum_image_embeds, reports),
            (shared.text_embeds, shared.momentum_text_embeds, images),
        ):
            scores = (ours[reported] @ candidates.T / tau).masked_fill(out, -torch.inf)
            wanted = targets
            if self.config.soft_targets:
                with torch.no_grad():
                    similar = slow[own] @ candidates.T / tau
                    soft = similar.masked_fill(out, -torch.inf).softmax(1)
                    wanted = torch.lerp(targets, soft, self.config.soft_targets)
            log_p = scores.log_softmax(1).masked_fill(out, 0.0)
            total = total - 0.5 * (wanted * log_p).sum()
        return Loss(total, total.new_tensor(float(len(own))))

    def _out_and_targets(self, own: Tensor, report_ids: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) each, from the places (B,) of the own studies: True on no candidates; targets."""
        empty = (report_ids < 0).expand(len(own), -1)
        same = report_ids[own, None] == report_ids[None]
        if self.config.same_report_is_positive:
            return empty, same.float() / same.sum(1, keepdim=True)
        itself = one_hot(own, len(report_ids))
        return empty | (same & ~itself.bool()), itself.float()
