"""Momentum encoders and the queues of their features, for image-report contrast.

Paper: Sec. 3.3 (following ALBEF). Nothing here is part of a model folder; checkpoints keep it.
"""

import copy

import torch
from torch import Tensor, nn

from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures


class FeatureQueue(nn.Module):
    """A ring of the newest Q momentum embeddings of images and reports.

    Slots not filled yet carry report number −1 and are left out of every comparison.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.images: Tensor
        self.reports: Tensor
        self.report_ids: Tensor
        self.position: Tensor
        self.register_buffer("images", torch.zeros(length, width))
        self.register_buffer("reports", torch.zeros(length, width))
        self.register_buffer("report_ids", torch.full((length,), -1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, images: Tensor, reports: Tensor, report_ids: Tensor) -> None:
        """Overwrites the oldest slots.

        Args:
            images: (B, P) momentum embeddings.
            reports: (B, P) momentum embeddings.
            report_ids: (B,) numbers that are equal for word-for-word equal reports.
        """
        length = self.report_ids.shape[0]
        newest = slice(max(0, images.shape[0] - length), None)
        count = images[newest].shape[0]
        slots = (self.position + torch.arange(count, device=images.device)) % length
        self.images[slots] = images[newest].to(self.images.dtype)
        self.reports[slots] = reports[newest].to(self.reports.dtype)
        self.report_ids[slots] = report_ids[newest]
        self.position.copy_((self.position + count) % length)


class MomentumEncoders(nn.Module):
    """Exponential moving averages of I-Enc, T-Enc and both projections, without gradients."""

    def __init__(self, model: KIAModel, coefficient: float, queue: int) -> None:
        """Copies the encoders of `model`; `coefficient` is the share that is kept a step."""
        super().__init__()
        self.coefficient = coefficient
        self.image_tower = copy.deepcopy(model.image_encoder)
        self.text_tower = copy.deepcopy(model.text_encoder)
        self.view_embedding = copy.deepcopy(model.view_embedding)
        self.image_projection = copy.deepcopy(model.image_projection)
        self.text_projection = copy.deepcopy(model.text_projection)
        self.queue = FeatureQueue(queue, model.config.projection_width)
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> "MomentumEncoders":
        """Stays in evaluation mode: momentum features carry no dropout.

        Batch statistics follow the momentum features themselves, as the model's follow its own.
        """
        super().train(False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.train(mode)
        return self

    @torch.no_grad()
    def update(self, model: KIAModel) -> None:
        """θ_m ← c·θ_m + (1 − c)·θ, after an optimiser step."""
        mine, theirs = [], []
        for name in (
            "image_tower",
            "text_tower",
            "view_embedding",
            "image_projection",
            "text_projection",
        ):
            mine += list(getattr(self, name).parameters())
            theirs += list(getattr(model, name).parameters())
        torch._foreach_lerp_(mine, theirs, 1 - self.coefficient)

    @torch.no_grad()
    def embed(
        self,
        pixel_values: Tensor,
        view_ids: Tensor,
        view_mask: Tensor | None,
        input_ids: Tensor,
        attention_mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Momentum embeddings of a batch: images (B, P) and reports (B, P)."""
        encode = KIAModel.encode_images
        features: ImageFeatures = encode(self, pixel_values, view_ids, view_mask)  # type: ignore[arg-type]
        text = self.text_tower(input_ids, attention_mask[:, None, None, :])
        return self.image_projection(features.pooled), self.text_projection(text[:, 0])

    _existing = KIAModel._existing

    @property
    def image_encoder(self) -> nn.Module:
        """The momentum I-Enc, under the name `encode_images` reads."""
        return self.image_tower
