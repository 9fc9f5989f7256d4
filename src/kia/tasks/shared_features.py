"""What the tasks share within one step: everything is encoded once.

Shape letters: B studies, G studies of all ranks, W views, N patches, T tokens, D width, P
projection width.
"""

from dataclasses import dataclass

from torch import Tensor

from kia.data.batches.batch import Batch
from kia.models import ranks
from kia.models.kia import KIAModel
from kia.models.momentum import MomentumEncoders
from kia.models.outputs import ImageFeatures


@dataclass(frozen=True)
class Loss:
    """A loss as its sum and what it is to be divided by, so that ranks can be weighed right."""

    total: Tensor
    count: Tensor

    @property
    def mean(self) -> Tensor:
        """The sum over the count; a zero that keeps its gradient where nothing was counted."""
        return self.total / self.count.clamp(min=1)


@dataclass(frozen=True)
class SharedFeatures:
    """Encodings of a batch.

    Attributes:
        images: Every view, encoded without a context.
        report_ids: (G,) numbers of the reports of all ranks, this rank's from `first` on.
        first: Studies of the ranks before this one; 0 alone, where G = B.
        text: (B, T, D) of T-Enc, [CLS] first; None if no task reads it.
        image_embeds: (B, P), on the unit sphere; None without IRC.
        text_embeds: (B, P), on the unit sphere; None without IRC.
        momentum_image_embeds: (G, P), without gradient; None without IRC.
        momentum_text_embeds: (G, P), without gradient; None without IRC.
    """

    images: ImageFeatures
    report_ids: Tensor
    first: int = 0
    text: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    momentum_image_embeds: Tensor | None = None
    momentum_text_embeds: Tensor | None = None


def shared_features(
    model: KIAModel, momentum: MomentumEncoders | None, batch: Batch, *, text: bool
) -> SharedFeatures:
    """Encodes a batch once for all tasks.

    Args:
        model: The five components.
        momentum: Given, the contrastive embeddings are computed too.
        batch: The studies.
        text: Whether a task reads the features of T-Enc.
    """
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    report_ids = ranks.gathered(batch.report_ids)
    first = ranks.rows_before(len(batch.report_ids))
    if not text:
        return SharedFeatures(images, report_ids, first)
    features = model.text_encoder(batch.input_ids, batch.attention_mask[:, None, None, :])
    if momentum is None:
        return SharedFeatures(images, report_ids, first, features)
    slow_images, slow_text = momentum.embed(
        batch.pixel_values,
        batch.view_ids,
        batch.view_mask,
        batch.input_ids,
        batch.attention_mask,
    )
    return SharedFeatures(
        images,
        report_ids,
        first,
        features,
        model.image_projection(images.pooled),
        model.text_projection(features[:, 0]),
        ranks.gathered(slow_images),
        ranks.gathered(slow_text),
    )
