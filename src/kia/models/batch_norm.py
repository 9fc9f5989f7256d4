"""Batch norm over the batch of all ranks, where there are several.

torch.nn.SyncBatchNorm does this on GPUs only, and not with batches of one that are standardised
by the running statistics (`heads.Standardise`).
"""

import torch
from torch import Tensor, nn

from kia.models import ranks


class BatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`; with several ranks, statistics are those of the whole batch."""

    def forward(self, input: Tensor) -> Tensor:
        """(R, C, H, W) → the same; R may be 0 where other ranks have rows."""
        if self.training and ranks.count() > 1:
            return batch_norm_over_ranks(self, input)
        return super().forward(input)


def batch_norm_over_ranks(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalises x (R, C, …) by the mean and variance of all ranks' rows.

    Args:
        norm: Its running statistics move as those of torch do: unbiased variance, `momentum`.
        x: Rows of this rank; all ranks together need more than one value a channel.
    """
    over = [0, *range(2, x.ndim)]
    shape = [1, -1] + [1] * (x.ndim - 2)
    values = x.float()
    count = ranks.summed(values.new_tensor(float(values.numel() // values.shape[1])))
    mean = ranks.summed(values.sum(over)) / count
    centred = values - mean.view(shape)
    variance = ranks.summed(centred.square().sum(over)) / count
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.momentum is not None and norm.num_batches_tracked is not None
    with torch.no_grad():
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance * count / (count - 1), norm.momentum)
        norm.num_batches_tracked += 1
    normalised = centred * (variance + norm.eps).rsqrt().view(shape)
    if norm.affine:
        normalised = normalised * norm.weight.view(shape) + norm.bias.view(shape)
    return normalised.to(x.dtype)
