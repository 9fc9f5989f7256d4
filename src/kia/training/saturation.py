"""Two signs that a model no longer tells images apart, measured on a few validation studies."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kia.data.batches.batch import Batch, BatchBuilder
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.models.transformer_block import Context, CrossAttention
from kia.tasks.report_generation import report_generation_rows
from kia.tasks.text_rows import encode_rows

STUDIES = 32  # enough for a mean that is steady in its second digit


@torch.no_grad()
def saturation(
    model: KIAModel, builder: BatchBuilder, studies: NDArray[np.int64]
) -> dict[str, float]:
    """Likeness of the images to each other, and spread of the decoder's attention over them.

    Args:
        model: Left in the mode it was in.
        builder: Of the data set and processor.
        studies: (n,) numbers in the data set; the first few are read.

    Returns:
        "attention_entropy": of T-Dec's cross-attention while it reads the true reports, over the
        logarithm of the number of places it may look at; 1 is the same attention everywhere.
        "image_similarity": mean cosine of the contrastive embeddings of different studies; 1 is
        the same embedding for all (docs/decisions/0010). Left out without IRC.
    """
    was_training = model.training
    model.eval()
    batch = builder.build(studies[:STUDIES], 0, augment=False, joint=False).to(model.device)
    images = model.encode_images(batch.pixel_values, batch.view_ids, batch.view_mask)
    found = {"attention_entropy": attention_entropy(model, batch, images)}
    if hasattr(model, "image_projection") and len(batch.studies) > 1:
        found["image_similarity"] = mean_cosine(model.image_projection(images.pooled))
    model.train(was_training)
    return found


def mean_cosine(embeddings: Tensor) -> float:
    """Mean cosine of all pairs of different rows of (n, P) unit vectors, n > 1."""
    count = embeddings.shape[0]
    total = embeddings.float().sum(0).square().sum().item()  # of all pairs, a row with itself too
    return (total - count) / (count * (count - 1))


def attention_entropy(model: KIAModel, batch: Batch, images: ImageFeatures) -> float:
    """Mean over layers, heads and tokens; see `saturation`."""
    found: list[Tensor] = []
    rows, width, _ = images.sequence.shape
    places = torch.full((rows,), width) if images.mask is None else images.mask.sum(1)
    even = places.to(model.device).float().log()
    real = batch.attention_mask.float()

    def read(module: nn.Module, arguments: tuple[Tensor, Context, int]) -> None:
        assert isinstance(module, CrossAttention)
        weights = module.weights(*arguments).float()
        share = torch.special.entr(weights).sum(-1).mean(1) / even[:, None]  # (B, T)
        found.append((share * real).sum() / real.sum())

    layers = [m for m in model.text_decoder.modules() if isinstance(m, CrossAttention)]
    hooks = [layer.register_forward_pre_hook(read) for layer in layers]
    try:
        encode_rows(model, images, {"rg": report_generation_rows(model, batch)})
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(found).mean().item()
