"""Validation: reports, their CIDEr, and whether the decoder looks at the image."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from kia.config import GenerationConfig
from kia.data.batches.batch import Batch, BatchBuilder, EpochBatches
from kia.errors import RunError
from kia.evaluation.language.protocols import dataset_style
from kia.evaluation.language.scores import cider
from kia.generation import write_dataset_reports
from kia.models import ranks
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.tasks.report_generation import report_generation_loss, report_generation_rows
from kia.tasks.text_rows import encode_rows


@dataclass(frozen=True)
class Validation:
    """What one validation found.

    Attributes:
        cider: Protocol r2gen in the variant of the data set's source, against the reports of the
            split.
        unique_reports: Different reports among those written.
        studies: Studies validated.
        loss: Of report generation, nats a token.
        image_gain: The loss with another study's image minus `loss`, nats a token: how much
            the decoder uses the image (0: not at all).
        reports: The reports written, in study order.
    """

    cider: float
    unique_reports: int
    studies: int
    loss: float
    image_gain: float
    reports: list[str]


def validate(
    model: KIAModel,
    builder: BatchBuilder,
    studies: NDArray[np.int64],
    train_reports: Sequence[str],
    config: GenerationConfig,
    on_progress: Callable[[int], None],
) -> Validation:
    """Writes a report for every study and scores them; several ranks share the studies.

    Args:
        model: Left in the mode it was in.
        builder: Of the data set and processor.
        studies: (n,) numbers in the data set.
        train_reports: For the vocabulary of the protocol.
        config: Decoding settings.
        on_progress: Told the number of studies that this rank finished.

    Raises:
        RunError: The weights are spoilt, so that nothing can be said of the model.
    """
    was_training = model.training
    model.eval()
    loss, gain = image_gain(model, builder, studies, config.batch_size)
    if not math.isfinite(loss + gain):  # NaN, once kept as the best, would never be beaten
        raise RunError(
            "the validation loss is not finite, so the weights are spoilt: start again with "
            "another --out and a lower learning_rate, train.warmup_steps or "
            "train.precision=float32"
        )
    written = write_dataset_reports(
        model, builder.processor, builder.dataset, ranks.share(studies), config, on_progress
    )
    reports = ranks.gathered_texts([report for _, report in written])
    model.train(was_training)
    style = dataset_style(builder.dataset.info["source"])
    references = [builder.dataset.study(int(study)).report for study in studies]
    return Validation(
        cider=cider(reports, references, train_reports, style),
        unique_reports=len(set(reports)),
        studies=len(studies),
        loss=loss,
        image_gain=gain,
        reports=reports,
    )


@torch.no_grad()
def image_gain(
    model: KIAModel, builder: BatchBuilder, studies: NDArray[np.int64], size: int
) -> tuple[float, float]:
    """Report-generation loss, and what it gains by the study's own image (nats a token).

    The other image is that of the next study of the batch with another report, as far as the
    batch has one.
    """
    own = other = tokens = 0.0
    batches = EpochBatches(builder, studies, batch_size=size, epoch=0, train=False, joint=False)
    for number in range(ranks.own(), len(batches), ranks.count()):
        batch = batches[number].to(model.device)
        images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
        count = float(len(batch.next_targets))
        own += _loss(model, batch, images) * count
        other += _loss(model, batch, _exchanged(images, batch)) * count
        tokens += count
    own, other, tokens = ranks.totals([own, other, tokens])
    return own / tokens, (other - own) / tokens


def _loss(model: KIAModel, batch: Batch, images: ImageFeatures) -> float:
    rows = {"rg": report_generation_rows(model, batch)}
    features = encode_rows(model, images, rows)["rg"]
    return report_generation_loss(model, batch, features).mean.item()


def _exchanged(images: ImageFeatures, batch: Batch) -> ImageFeatures:
    """The image features, each study's replaced by those of a study with another report."""
    count = len(batch.report_ids)
    steps = torch.arange(1, count + 1, device=batch.report_ids.device)
    candidates = (torch.arange(count, device=steps.device)[:, None] + steps) % count
    different = batch.report_ids[candidates] != batch.report_ids[:, None]
    chosen = candidates.gather(1, different.int().argmax(1, keepdim=True))[:, 0]
    mask = None if images.mask is None else images.mask[chosen]
    return replace(
        images, sequence=images.sequence[chosen], mask=mask, pooled=images.pooled[chosen]
    )
