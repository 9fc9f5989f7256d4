"""The training loop: two stages, validation, checkpoints (Paper: Sec. 4.2).

Stage "joint" trains all five tasks, stage "generation" report generation alone, from the best
weights of the first. Data order, masks and augmentation are counted from (seed, epoch, study)
and torch's generator is seeded each step from (seed, step), so a run continued after a kill
equals the uninterrupted one bit for bit on CPU.
"""

import math
import signal
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from kia.config import RunConfig, StageConfig
from kia.data.batches import Batch, BatchBuilder, EpochBatches
from kia.data.store import PreparedDataset
from kia.errors import RunError
from kia.tasks.joint import TASKS, JointLoss, JointObjective
from kia.training.build import build_model, build_processor, check_fit, knowledge_shares
from kia.training.checkpoint import (
    Progress,
    checkpoints,
    load_checkpoint,
    read_progress,
    save_checkpoint,
    set_aside,
)
from kia.training.loss_window import LossWindow
from kia.training.optim import build_optimizer, learning_rate
from kia.training.precision import autocast_mode
from kia.training.run_folder import RunFolder
from kia.training.validation import validate

LOG_EVERY = 20  # steps between lines of the log; the end of an epoch has one too
STAGES = ("joint", "generation", "done")


class Reporter(Protocol):
    """Who is told how training goes (the command line draws a progress bar)."""

    def begin(self, what: str, total: int, done: int) -> None:
        """A stretch of work with `total` studies begins, `done` of them finished before."""

    def advance(self, studies: int, losses: dict[str, float] | None = None) -> None:
        """More studies are finished; the newest mean losses, if there are any."""

    def note(self, text: str) -> None:
        """A line that stays on the screen."""


def train(
    config: RunConfig, data: Path, out: Path, *, resume: bool = False, reporter: Reporter
) -> Path:
    """Trains a model into the run folder `out` and returns the folder of the best one.

    Raises:
        RunError: The folder is in use or holds another run, the loss is not finite, the disk
            is full, or the run was stopped by a signal.
        DataError: The data set does not fit the configuration.
    """
    dataset = PreparedDataset.open(data)
    check_fit(config, dataset)
    shares = knowledge_shares(config, dataset)
    run = RunFolder.open(out, config, dataset, resume)
    try:
        try:
            trainer = Trainer(config, dataset, run, reporter)
        except BaseException:
            run.discard_if_new()
            raise
        trainer.run(shares)
    finally:
        run.close()
    return run.model_folder


class Trainer:
    """One run: its model, optimiser and place in the schedule."""

    def __init__(
        self, config: RunConfig, dataset: PreparedDataset, run: RunFolder, reporter: Reporter
    ) -> None:
        self.config, self.dataset, self.run_folder, self.reporter = config, dataset, run, reporter
        torch.set_num_threads(run.threads)
        self.accelerator = Accelerator(mixed_precision=autocast_mode(config.train.precision))
        self.device = self.accelerator.device
        self.train_reports = dataset.reports("train")
        resize = dataset.info.get("resize", "squash")
        self.processor = build_processor(config, self.train_reports, run.path / "processor", resize)
        torch.manual_seed(config.train.seed)
        self.objective = JointObjective(build_model(config, self.processor), config.tasks)
        self.objective.to(self.device)
        self.builder = BatchBuilder(
            dataset,
            self.processor,
            config.data,
            config.tasks,
            patch_size=config.model.image_encoder.patch_size,
            max_tokens=self.objective.model.config.max_tokens,
            seed=config.train.seed,
        )
        self.progress = Progress()
        self.window = LossWindow(self.device)
        self.rate = 0.0
        self.stopped_by: int | None = None

    def run(self, shares: dict[str, float | None] | None = None) -> None:
        """Goes through the stages from wherever the run stands.

        Args:
            shares: From `knowledge_shares`, for the log.
        """
        self._restore()
        if shares and not self.progress.step:
            self.run_folder.log(kind="knowledge", **shares)
            for what, share in shares.items():
                if share:
                    self.reporter.note(f"{share:.1%} of {what.replace('_', ' ')}: masked at random")
        handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self.progress.stage != "done":
                stage: StageConfig = getattr(self.config.train, self.progress.stage)
                while self.progress.stage_epoch < stage.epochs:
                    self._epoch(stage)
                self._next_stage()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _restore(self) -> None:
        """Continues from the newest checkpoint that can be read, or starts."""
        self.run_folder.tidy()
        reasons: list[tuple[Path, RunError]] = []
        found = checkpoints(self.run_folder.checkpoint_folder)
        for path in reversed(found):
            try:
                self._load(path)
                break
            except RunError as error:
                reasons.append((path, error))
        else:
            if reasons:
                raise reasons[0][1]
            self.optimizer = self._optimizer()
        for path, reason in reasons:
            self.reporter.note(f"{reason}; continuing from the checkpoint before it")
            set_aside(path)
        self.run_folder.cut_log(self.progress.log_bytes)

    def _load(self, path: Path) -> None:
        self.progress = read_progress(path)
        if self.progress.stage == "done":
            self.reporter.note(f"{self.run_folder.path} is finished")
            return
        self.optimizer = self._optimizer()
        load_checkpoint(path, self.objective, self.optimizer)
        self.reporter.note(f"continuing at step {self.progress.step}")

    def _optimizer(self) -> torch.optim.Optimizer:
        stage: StageConfig = getattr(self.config.train, self.progress.stage)
        module = self.objective if self.progress.stage == "joint" else self.objective.model
        return build_optimizer(module, self.config.train, stage)

    def _next_stage(self) -> None:
        """Stage 2 starts from the best weights of stage 1 with a fresh optimiser."""
        progress = self.progress
        progress.stage = STAGES[STAGES.index(progress.stage) + 1]
        progress.stage_epoch = progress.stage_step = 0
        if progress.stage == "generation":
            best = self.run_folder.model_folder / "model.safetensors"
            if best.is_file():
                self.objective.model.load_state_dict(load_file(best))
            self.optimizer = self._optimizer()
        self._save()

    def _epoch(self, stage: StageConfig) -> None:
        """The rest of an epoch, then its validation and checkpoint."""
        progress = self.progress
        joint = progress.stage == "joint"
        size = self.config.train.batch_size
        studies = self.dataset.indices("train")
        batches = EpochBatches(
            self.builder,
            studies,
            batch_size=size,
            epoch=progress.epoch,
            first=progress.batch,
            joint=joint,
        )
        what = f"{progress.stage} {progress.stage_epoch + 1}/{stage.epochs}"
        self.reporter.begin(what, len(studies), min(progress.batch * size, len(studies)))
        self.objective.train()
        last = progress.batch + len(batches)
        self.window = LossWindow(self.device, progress.window)
        for batch in DataLoader(batches, batch_size=None, num_workers=self.config.data.workers):
            self._step(batch, stage, joint)
            if progress.batch % LOG_EVERY == 0 or progress.batch == last:
                self._log_window()
            self._leave_if_stopped()
            if progress.stage_step % self.config.train.checkpoint_every == 0:
                self._save()
        epochs = progress.stage_epoch + 1
        if epochs % self.config.train.validate_every == 0 or epochs == stage.epochs:
            self._validate()
        progress.epoch += 1
        progress.stage_epoch += 1
        progress.batch = 0
        self._save()

    def _step(self, batch: Batch, stage: StageConfig, joint: bool) -> None:
        progress, settings = self.progress, self.config.train
        torch.manual_seed(settings.seed * 1_000_003 + progress.step)
        rate = learning_rate(settings, stage, progress.stage_epoch, progress.stage_step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        result = self._losses(batch.to(self.device), joint)
        # of the whole objective: what stage 1 left would take up stage 2's clipping norm
        self.objective.zero_grad(set_to_none=True)
        self.accelerator.backward(result.total)
        norm = torch.nn.utils.clip_grad_norm_(
            self.objective.parameters(), settings.gradient_clip, foreach=True
        )
        self.optimizer.step()
        if joint:
            self.objective.after_step()
        progress.batch += 1
        progress.step += 1
        progress.stage_step += 1
        self.rate = rate
        self.window.add(result.losses | {"gradient_norm": norm}, len(batch.studies))
        self.reporter.advance(len(batch.studies))

    def _losses(self, batch: Batch, joint: bool) -> JointLoss:
        try:
            with self.accelerator.autocast():
                return self.objective(batch, joint=joint)
        except RuntimeError:
            self._finite_sums()  # torch refuses to draw negatives by scores that are not finite
            raise

    def _log_window(self) -> None:
        """Logs the mean losses since the last line; the device is read here and on saving only."""
        steps = (self.progress.batch - 1) % LOG_EVERY + 1
        means = {name: total / steps for name, total in self._finite_sums().items()}
        if "irc" in means:
            means["temperature"] = self.objective.contrastive.temperature.item()
        self.run_folder.log(
            kind="train",
            stage=self.progress.stage,
            epoch=self.progress.epoch + 1,
            step=self.progress.step,
            learning_rate=self.rate,
            studies_per_second=self.window.studies_per_second,
            **means,
        )
        self.reporter.advance(0, {k: v for k, v in means.items() if k in TASKS})
        self.window = LossWindow(self.device)

    def _finite_sums(self) -> dict[str, float]:
        """The sums of the window; a run that has diverged ends here, before it is saved."""
        sums = self.window.sums()
        if not all(math.isfinite(total) for total in sums.values()):
            shown = ", ".join(f"{name} {total}" for name, total in sums.items())
            raise RunError(
                f"the loss is not finite at step {self.progress.step} ({shown}); lower "
                f"train.{self.progress.stage}.learning_rate or use --set train.precision=float32"
            )
        return sums

    def _validate(self) -> None:
        studies = self.dataset.indices("val")[: self.config.train.validation_studies]
        if not len(studies):
            raise RunError("the data set has no validation studies to select the model on")
        self.reporter.begin("validation", len(studies), 0)
        found = validate(
            self.objective.model,
            self.builder,
            studies,
            self.train_reports,
            self.config.generation,
            self._validated,
        )
        progress = self.progress
        epoch = progress.epoch + 1
        score = getattr(found, self.config.train.select_by)
        is_best = progress.best is None or score > progress.best
        if is_best:
            progress.best, progress.best_epoch = score, epoch
            self.run_folder.save_model(self.objective.model, self.processor)
        self.run_folder.log(
            kind="validation",
            stage=progress.stage,
            epoch=epoch,
            step=progress.step,
            cider=found.cider,
            unique_reports=found.unique_reports,
            studies=found.studies,
            loss=found.loss,
            image_gain=found.image_gain,
            best=is_best,
        )
        self.reporter.note(
            f"epoch {epoch}: CIDEr {found.cider:.3f}, "
            f"{found.unique_reports} different reports for {found.studies} studies, "
            f"loss {found.loss:.3f}, image gain {found.image_gain:.3f} nats a token"
            f"{' (best)' if is_best else ''}"
        )

    def _save(self) -> None:
        self.progress.window = self._finite_sums()
        self.progress.log_bytes = self.run_folder.log_size()
        save_checkpoint(
            self.run_folder.checkpoint_folder, self.objective, self.optimizer, self.progress
        )

    def _stop(self, number: int, _: Any) -> None:
        self.stopped_by = number

    def _leave_if_stopped(self) -> None:
        if self.stopped_by is not None:
            self._save()
            raise RunError(f"stopped at step {self.progress.step}; continue with --resume")

    def _validated(self, studies: int) -> None:
        """Between two batches of a validation."""
        self.reporter.advance(studies)
        self._leave_if_stopped()
