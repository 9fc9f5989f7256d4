"""Small modules on top of the towers: pixels, words, matching and contrastive projections."""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, gelu, linear, normalize

from kia.models import ranks
from kia.models.batch_norm import batch_norm_over_ranks


class PixelPrediction(nn.Module):
    """A linear head that predicts the pixels of a patch (Paper: Eq. 4; SimMIM)."""

    def __init__(self, width: int, pixels: int) -> None:
        super().__init__()
        self.projection = nn.Linear(width, pixels)

    def forward(self, features: Tensor) -> Tensor:
        """(M, D) → (M, pixels)."""
        return self.projection(features)


class WordPrediction(nn.Module):
    """BERT's word head, shared by masked language modelling and report generation.

    The output matrix is the tower's word embedding, handed in at each call (ADR 0005), so no
    weight is stored twice.
    """

    def __init__(self, width: int, vocab_size: int, norm_eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, features: Tensor, word_embeddings: Tensor) -> Tensor:
        """(M, D) features and the (V, D) embedding matrix → (M, V) logits."""
        return linear(self.norm(gelu(self.dense(features))), word_embeddings, self.bias)


class MatchPrediction(nn.Module):
    """Match or no match from the feature of [MATCH] (Paper: Eq. 7)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(width, 2)

    def forward(self, features: Tensor) -> Tensor:
        """(R, D) → (R, 2) logits: no match, match."""
        return self.classifier(features)


class Standardise(nn.BatchNorm1d):
    """Zero mean and unit deviation for each feature: over the batch in training, running after.

    A batch of one is standardised by the running statistics, also in training.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False, momentum=0.05)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) → (B, D)."""
        features = features.float()
        if self.training and ranks.totals([features.shape[0]])[0] < 2:
            return batch_norm(features, self.running_mean, self.running_var, eps=self.eps)
        if self.training and ranks.count() > 1:
            return batch_norm_over_ranks(self, features)
        return super().forward(features)


class ContrastiveProjection(nn.Module):
    """A linear map to the unit sphere of the contrastive space (Paper: Sec. 3.3).

    `standardise` takes the mean of the batch out first and leaves out the bias, so that no
    direction is common to all embeddings (docs/decisions/0010).
    """

    def __init__(self, width: int, projection_width: int, *, standardise: bool = False) -> None:
        super().__init__()
        self.standardise = Standardise(width) if standardise else nn.Identity()
        self.projection = nn.Linear(width, projection_width, bias=not standardise)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) → (B, P), each of length 1."""
        return normalize(self.projection(self.standardise(features)).float(), dim=-1)
