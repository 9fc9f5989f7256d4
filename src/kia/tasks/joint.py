"""The joint objective: five tasks on features that are computed once (Paper: Eq. 9)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kia.config import TasksConfig
from kia.data.batches.batch import Batch
from kia.models import ranks
from kia.models.kia import KIAModel
from kia.models.momentum import MomentumEncoders
from kia.tasks.contrastive import ContrastiveTask
from kia.tasks.masked_image import masked_image_count, masked_image_loss
from kia.tasks.masked_language import masked_language_loss, masked_language_rows
from kia.tasks.matching import (
    Negatives,
    draw_negatives,
    matching_count,
    matching_loss,
    matching_rows,
)
from kia.tasks.report_generation import report_generation_loss, report_generation_rows
from kia.tasks.shared_features import Loss, SharedFeatures, shared_features
from kia.tasks.text_rows import TextRows, encode_rows

TASKS = ("mim", "mlm", "irc", "irm", "rg")


@dataclass(frozen=True)
class JointLoss:
    """The weighted sum and each task's loss by its short name."""

    total: Tensor
    losses: dict[str, Tensor]


def active_tasks(config: TasksConfig) -> list[str]:
    """Short names of the tasks with a weight above 0, in the paper's order."""
    return [name for name in TASKS if getattr(config, name).weight > 0]


def queue_length(config: TasksConfig, studies: int | None) -> int:
    """Studies that the queues of IRC hold: what the configuration says, half an epoch at most.

    Longer ones hold older copies of the studies of the batch, which say nothing new. (ALBEF's and
    the paper's queues are far shorter than an epoch of their larger data.)

    Args:
        config: Tasks, with the length that is wanted.
        studies: Of an epoch; None where it is not known.
    """
    wanted = config.irc.queue_length
    return wanted if studies is None else max(1, min(wanted, studies // 2))


class JointObjective(nn.Module):
    """The model and all that its training objectives add to it.

    A task of weight 0 is neither built nor computed.
    """

    def __init__(self, model: KIAModel, config: TasksConfig, studies: int | None = None) -> None:
        """Builds what the tasks of `config` add to a model.

        Args:
            model: The five components.
            config: Tasks and their weights.
            studies: Of an epoch, which bound the queues (`queue_length`); no bound if absent.
        """
        super().__init__()
        self.model = model
        self.config = config
        if config.irc.weight:
            self.contrastive = ContrastiveTask(config.irc)
            queue = queue_length(config, studies)
            self.momentum = MomentumEncoders(model, config.irc.momentum, queue)

    def forward(
        self, batch: Batch, *, joint: bool = True, counts: dict[str, float] | None = None
    ) -> JointLoss:
        """All losses of a batch, from one set of features.

        Args:
            batch: The studies.
            joint: False computes report generation alone (stage 2, Paper: Sec. 4.2).
            counts: What each task's sum is divided by, where the batch is a part of a larger one:
                the losses (and gradients) of all its parts then add up to those of the whole.
        """
        tasks = set(active_tasks(self.config)) if joint else {"rg"}
        momentum = self.momentum if "irc" in tasks else None
        shared = shared_features(self.model, momentum, batch, text=bool({"mim", "irc"} & tasks))
        temperature = self.contrastive.temperature.detach() if "irc" in tasks else None
        negatives = draw_negatives(batch, shared, temperature) if "irm" in tasks else None
        features = encode_rows(self.model, shared.images, self._rows(tasks, batch, negatives))
        losses = self._losses(tasks, batch, shared, features, negatives)
        if counts is not None:
            losses = {
                name: Loss(loss.total, loss.count.new_tensor(counts[name]))
                for name, loss in losses.items()
            }
        weighted = [getattr(self.config, name).weight * loss.mean for name, loss in losses.items()]
        if "irc" in tasks and self.training:
            self._remember(shared)
        return JointLoss(
            torch.stack(weighted).sum(), {name: loss.mean for name, loss in losses.items()}
        )

    def counts(self, batch: Batch, *, joint: bool = True) -> dict[str, float]:
        """What this rank's share of a batch adds to the counts of the losses, by task."""
        tasks = set(active_tasks(self.config)) if joint else {"rg"}
        found = {"rg": float(len(batch.next_targets))}
        if "mim" in tasks:
            found["mim"] = masked_image_count(self.model, batch)
        if "mlm" in tasks:
            assert batch.masked_targets is not None
            found["mlm"] = float(len(batch.masked_targets))
        if "irc" in tasks:
            found["irc"] = float((batch.report_ids >= 0).sum())
        if "irm" in tasks:
            found["irm"] = matching_count(batch.report_ids, ranks.gathered(batch.report_ids))
        return found

    def after_step(self) -> None:
        """Moves the momentum encoders; call it after each optimiser step of stage 1."""
        if self.config.irc.weight:
            self.contrastive.clamp_temperature()
            self.momentum.update(self.model)

    def _rows(
        self, tasks: set[str], batch: Batch, negatives: Negatives | None
    ) -> dict[str, TextRows]:
        rows = {"rg": report_generation_rows(self.model, batch)}
        if "mlm" in tasks:
            rows["mlm"] = masked_language_rows(batch)
        if negatives is not None:
            rows |= matching_rows(self.model, batch, negatives)
        return rows

    def _losses(
        self,
        tasks: set[str],
        batch: Batch,
        shared: SharedFeatures,
        features: dict[str, Tensor],
        negatives: Negatives | None,
    ) -> dict[str, Loss]:
        model = self.model
        losses: dict[str, Loss] = {}
        if "mim" in tasks:
            losses["mim"] = masked_image_loss(model, batch, shared)
        if "mlm" in tasks:
            losses["mlm"] = masked_language_loss(model, batch, features["mlm"])
        if "irc" in tasks:
            losses["irc"] = self.contrastive(batch, shared, self.momentum.queue)
        if negatives is not None:
            losses["irm"] = matching_loss(model, features, negatives)
        losses["rg"] = report_generation_loss(
            model, batch, features["rg"], self.config.rg.label_smoothing
        )
        return losses

    def _remember(self, shared: SharedFeatures) -> None:
        assert shared.momentum_image_embeds is not None
        assert shared.momentum_text_embeds is not None
        reported = shared.report_ids >= 0
        self.momentum.queue.push(
            shared.momentum_image_embeds[reported],
            shared.momentum_text_embeds[reported],
            shared.report_ids[reported],
        )
