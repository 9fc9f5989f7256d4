"""One update of the weights by one batch, in parts and over ranks (Paper: Eq. 9)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kia.data.batches.batch import Batch
from kia.models import ranks
from kia.tasks.joint import JointObjective
from kia.training.distributed import sum_gradients
from kia.training.precision import Precision


def update(
    objective: JointObjective,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[Batch],
    precision: Precision,
    *,
    joint: bool,
    clip: float,
    careful: bool = True,
) -> dict[str, Tensor]:
    """Moves the weights by the gradient of the whole batch.

    Every loss is a sum over the whole batch divided by its count there, so that cutting the batch
    into parts or ranks changes nothing for a task that looks at one study at a time.

    Args:
        objective: In training mode.
        optimizer: With the learning rate of this step.
        parts: This rank's share of each part of the batch.
        precision: To compute in.
        joint: Whether this is stage 1.
        clip: Largest gradient norm.
        careful: Whether an update that is not finite is left out: nothing but `progress` then
            moves on. It costs a look at the device before the weights are moved.

    Returns:
        The losses of the whole batch by task, and "gradient_norm" before it was clipped (0 where
        float16 has overflowed: such a step is left out and the next scaled less).
    """
    written = [(buffer, buffer.clone()) for buffer in objective.buffers()] if careful else []
    counts = whole_counts(objective, parts, joint=joint)
    # of the whole objective: what stage 1 left would take up stage 2's clipping norm
    objective.zero_grad(set_to_none=True)
    losses: dict[str, Tensor] = {}
    for part in parts:
        with precision.autocast():
            result = objective(part.to(objective.model.device), joint=joint, counts=counts)
        precision.scaler.scale(result.total).backward()
        for name, loss in result.losses.items():
            losses[name] = losses[name] + loss.detach() if name in losses else loss.detach()
    sum_gradients(objective.parameters())
    precision.scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(objective.parameters(), clip, foreach=True)
    if precision.scaler.is_enabled():
        norm = norm.nan_to_num(0.0, posinf=0.0)
    totals = ranks.summed(torch.stack(list(losses.values())))
    found = dict(zip(losses, totals, strict=True)) | {"gradient_norm": norm}
    if careful and not_finite(found):
        for buffer, before in written:  # the queue, and running statistics
            buffer.copy_(before)
        precision.scaler.update()
        return found
    precision.scaler.step(optimizer)
    precision.scaler.update()
    if joint:
        objective.after_step()
    return found


def not_finite(found: Mapping[str, Tensor]) -> list[str]:
    """Names of the losses (or the gradient) that are not finite, the same on all ranks."""
    bad = ~torch.stack([value.float() for value in found.values()]).isfinite()
    return [name for name, is_bad in zip(found, bad.tolist(), strict=True) if is_bad]


def masked_shares(parts: Sequence[Batch]) -> dict[str, Tensor]:
    """Shares of patches and of tokens that this rank's part of a batch hides; {} in stage 2.

    [CLS] and [SEP] are no tokens here, and views that a study lacks have no patches.
    """
    hidden = patches = chosen = tokens = 0
    for part in parts:
        if part.image_mask is not None:
            views = part.view_ids.numel() if part.view_mask is None else int(part.view_mask.sum())
            patches += views * part.image_mask.shape[2]
            hidden += int(part.image_mask.sum())
        if part.masked_targets is not None and part.masked_attention_mask is not None:
            tokens += int(part.masked_attention_mask.sum()) - 2 * len(part.studies)
            chosen += len(part.masked_targets)
    shares = {"masked_patches": (hidden, patches), "masked_tokens": (chosen, tokens)}
    return {name: torch.tensor(some / every) for name, (some, every) in shares.items() if every}


def whole_counts(
    objective: JointObjective, parts: Sequence[Batch], *, joint: bool
) -> dict[str, float]:
    """What each task's sum is divided by: its count over all parts and ranks."""
    counted = [objective.counts(part, joint=joint) for part in parts]
    names = list(counted[0])
    sums = ranks.totals([sum(count[name] for count in counted) for name in names])
    return dict(zip(names, sums, strict=True))
