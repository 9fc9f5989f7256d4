"""What the model returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ReportOutput:
    """One pass of the text decoder.

    Attributes:
        logits: (R, T, V).
    """

    logits: Tensor


@dataclass(frozen=True)
class ImageFeatures:
    """The views of B studies, encoded.

    Attributes:
        sequence: (B, W·(1 + N), D), view after view, each with its [CLS] first.
        mask: (B, W·(1 + N)), True on views that exist; None if all do.
        pooled: (B, D), the mean of the [CLS] features of the views that exist.
    """

    sequence: Tensor
    mask: Tensor | None
    pooled: Tensor
