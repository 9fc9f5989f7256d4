"""What the model returns."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class ReportOutput(ModelOutput):
    """One pass of the text decoder.

    Attributes:
        logits: (R, T, V).

    The self-attention cache is extended in place and stays with the caller, so it is not
    returned: its name changed between transformers releases.
    """

    logits: Tensor | None = None


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
