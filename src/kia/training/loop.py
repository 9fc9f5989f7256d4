"""The training loop: two stages, validation, checkpoints (Paper: Sec. 4.2).

Stage "joint" trains all five tasks, stage "generation" report generation alone (but for
`train.rehearse_every`), from the best weights of the first. Data order, masks and augmentation
are counted from (seed, epoch, study) and torch's generator is seeded each step from (seed, step),
so a run continued after a kill equals the uninterrupted one bit for bit on CPU.
"""

import math
import signal
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch

from kia.config import RunConfig, StageConfig, TrainConfig
from kia.data.batches.batch import Batch, BatchBuilder, EpochBatches
from kia.data.batches.shares import own_batches
from kia.data.store.dataset import PreparedDataset
from kia.errors import ConfigError, RunError
from kia.installed import installed_folder
from kia.models import KIAModel, ranks
from kia.models.folder import WEIGHTS, load_weights
from kia.tasks.joint import TASKS, JointObjective
from kia.training.blocks import eager, prepare_blocks
from kia.training.build import (
    build_model,
    build_processor,
    check_fit,
    knowledge_shares,
    label_shares,
)
from kia.training.checkpoint import (
    Progress,
    checkpoints,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from kia.training.distributed import check_batch, join, on_first, take_from_first
from kia.training.freed_memory import keep_freed_memory
from kia.training.journal import SHOWN_REPORTS, Journal
from kia.training.loss_window import LossWindow, NotFinite
from kia.training.optim import build_optimizer, learning_rate
from kia.training.precision import Precision
from kia.training.reporter import Reporter, Silence
from kia.training.restart import restore
from kia.training.run_folder import RunFolder
from kia.training.run_schema import Stage
from kia.training.saturation import saturation
from kia.training.tracking import require_tensorboard
from kia.training.update import masked_shares, not_finite, update
from kia.training.validation import validate
from kia.training.warm_start import start_from

RANK_SEED = 0x9E3779B1  # odd, so that ranks and steps hardly share a seed
LOG_EVERY = 20  # steps between lines of the log; the end of an epoch has one too
STAGES: tuple[Stage, ...] = ("joint", "generation", "done")


def train(
    config: RunConfig,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    start: str | Path | None = None,
    keep_words: bool = False,
    reporter: Reporter,
) -> Path:
    """Trains a model into the run folder `out` and returns the folder of the best one.

    Args:
        config: Of the run; of one that goes on with a model as it is, see `fine_tuning`.
        data: Prepared data set.
        out: Run folder.
        resume: Continue the run in `out`, if there is one.
        start: A run or model folder, or an installed model, whose weights the run starts from.
        keep_words: Take the vocabulary of `start` too, instead of training one.
        reporter: Is told how it goes.

    Raises:
        RunError: The folder is in use or holds another run, too many losses are not finite, the
            disk is full, or the run was stopped by a signal.
        ConfigError: Nothing is to be trained, or a batch cannot be filled.
        DataError: The data set does not fit the configuration.
        MissingDependency: Events are to be written and tensorboard is not installed.
    """
    start = None if start is None else Path(installed_folder(start))
    if config.train.tensorboard:
        require_tensorboard()
    check_epochs(config.train)
    join()
    dataset = PreparedDataset.open(data)
    check_fit(config, dataset)
    check_batch(config.train)
    shares = knowledge_shares(config, dataset)
    run = on_first(
        lambda: RunFolder.open(out, config, dataset, resume, start), lambda: RunFolder(out)
    )
    try:
        try:
            trainer = Trainer(config, dataset, run, reporter, start if keep_words else None)
        except BaseException:
            run.discard_if_new()
            raise
        trainer.run(shares)
    finally:
        run.close()
    return run.model_folder


def check_epochs(config: TrainConfig) -> None:
    """Refuses a run that would end without a model.

    Raises:
        ConfigError: Neither stage has an epoch.
    """
    if not config.joint.epochs + config.generation.epochs:
        raise ConfigError(
            "nothing to train: train.joint.epochs and train.generation.epochs are both 0"
        )


class Trainer:
    """One run: its model, optimiser and place in the schedule."""

    def __init__(
        self,
        config: RunConfig,
        dataset: PreparedDataset,
        run: RunFolder,
        reporter: Reporter,
        words_of: Path | None = None,
    ) -> None:
        self.config, self.dataset, self.run_folder = config, dataset, run
        self.reporter = Silence() if ranks.own() else reporter
        torch.set_num_threads(run.threads)
        keep_freed_memory()
        self.device = join()
        self.precision = Precision(config.train.precision, self.device)
        self.train_reports = dataset.reports("train", written=True)
        resize = dataset.info.get("resize", "squash")
        processor = partial(
            build_processor,
            *(config, self.train_reports, run.path / "processor", resize, dataset, words_of),
        )
        self.processor = on_first(processor, processor)
        torch.manual_seed(config.train.seed)
        self.started = ""
        self.objective = JointObjective(self._model(), config.tasks, len(self.train_reports))
        self.objective.to(self.device)
        prepare_blocks(self.objective, config.train)
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
        self.journal = Journal(run, config, self.reporter, writes=not ranks.own())
        self.careful = self.device.type == "cpu"  # see `_go_back`
        self.rate = 0.0
        self.stopped_by: int | None = None

    def run(self, shares: dict[str, float | None] | None = None) -> None:
        """Goes through the stages from wherever the run stands.

        Args:
            shares: From `knowledge_shares`, for the log.
        """
        self._restore()
        if self.started:
            self.journal.started(self.started)
        if not self.progress.step:
            self.journal.queue(self.config.tasks, len(self.train_reports))
            self.journal.knowledge(shares or {})
        if self.started or not (self.careful or self.progress.step):
            # the model it started from may go; and there is one to go back to, with these lines
            self._save()
        handlers = {s: signal.signal(s, self._stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self.progress.stage != "done":
                stage: StageConfig = getattr(self.config.train, self.progress.stage)
                patience = self.config.train.patience or math.inf
                if self.progress.stage_epoch == stage.epochs or self.progress.stale >= patience:
                    self._next_stage()
                    continue
                try:
                    self._epoch(stage)
                except NotFinite as found:
                    self._go_back(found)
        finally:
            self.journal.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _model(self) -> KIAModel:
        """The model, with the weights to start from unless a checkpoint holds newer ones."""
        fresh = not checkpoints(self.run_folder.checkpoint_folder)
        start = self.run_folder.start() if fresh else None
        model = build_model(self.config, self.processor, pretrained=fresh and not start)
        if start:
            self.started = start_from(model, self.processor, start)
        model.config.label_shares = label_shares(self.config, self.dataset)
        return model

    def _restore(self) -> None:
        """Continues from the newest checkpoint that can be read, or starts."""
        if not restore(self.run_folder, self._load, self.reporter.note):
            self.optimizer = self._optimizer()
        self.run_folder.cut_log(self.progress.log_bytes)
        take_from_first(self.objective)
        if self.progress.stage != "done":
            self.journal.begin(self.progress.step)

    def _load(self, path: Path) -> None:
        self.progress = read_progress(path)
        if self.progress.stage == "done":
            self.reporter.note(f"{self.run_folder.path} is finished")
            return
        self.optimizer = self._optimizer()
        load_checkpoint(path, self.objective, self.optimizer)
        self.precision.restore(self.progress.scaler)
        self.reporter.note(f"continuing at step {self.progress.step}")

    def _optimizer(self) -> torch.optim.Optimizer:
        stage: StageConfig = getattr(self.config.train, self.progress.stage)
        joint = self.progress.stage == "joint" or self.config.train.rehearse_every
        module = self.objective if joint else self.objective.model
        return build_optimizer(module, self.config.train, stage)

    def _next_stage(self) -> None:
        """Stage 2 starts from the best weights of stage 1 with a fresh optimiser."""
        progress = self.progress
        progress.stage = STAGES[STAGES.index(progress.stage) + 1]
        progress.stage_epoch = progress.stage_step = progress.stale = 0
        if progress.stage == "generation":
            best = self.run_folder.model_folder
            if not ranks.own() and (best / WEIGHTS).is_file():
                load_weights(self.objective.model, best)
            take_from_first(self.objective.model)
            self.optimizer = self._optimizer()
        if progress.stage == "done":
            self.journal.warn(progress.step, finished=True)
        self._save()

    def _epoch(self, stage: StageConfig) -> None:
        """The rest of an epoch, then its validation and checkpoint."""
        progress = self.progress
        size = self.config.train.batch_size
        joint = progress.stage == "joint"  # stage 2 learns from reports alone
        studies = self.dataset.indices("train") if joint else self.dataset.reported("train")
        order = EpochBatches(
            self.builder,
            studies,
            batch_size=size,
            epoch=progress.epoch,
            first=progress.batch,
            joint=joint,
            rehearse_every=self.config.train.rehearse_every,
        )
        what = f"{progress.stage} {progress.stage_epoch + 1}/{stage.epochs}"
        done = progress.batch * size
        self.reporter.begin(what, done + sum(map(len, order.batches)), done)
        self.objective.train()
        last = progress.batch + len(order)
        self.window = LossWindow(self.device, progress.window)
        batches = own_batches(order, self.config.train.accumulate, self.config.data.workers)
        for number, batch in enumerate(self._timed(batches)):
            self._step(batch, len(order.batches[number]), stage, order.is_joint(number))
            if progress.batch % LOG_EVERY == 0 or progress.batch == last:
                self._log_window()
            if ranks.any_of(self.stopped_by is not None):
                self._leave()
            if progress.stage_step % self.config.train.checkpoint_every == 0:
                self._save()
        epochs = progress.stage_epoch + 1
        if epochs % self.config.train.validate_every == 0 or epochs == stage.epochs:
            self._validate()
        progress.epoch += 1
        progress.stage_epoch += 1
        progress.batch = 0
        self._save()

    def _step(self, parts: list[Batch], studies: int, stage: StageConfig, joint: bool) -> None:
        progress, settings = self.progress, self.config.train
        torch.manual_seed(settings.seed * 1_000_003 + progress.step + RANK_SEED * ranks.own())
        rate = learning_rate(settings, stage, progress.stage_epoch, progress.stage_step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]
        found = update(
            self.objective,
            self.optimizer,
            parts,
            self.precision,
            joint=joint,
            clip=settings.gradient_clip,
            careful=self.careful,
        )
        progress.batch += 1
        progress.step += 1
        progress.stage_step += 1
        self.rate = rate
        if self.careful and (bad := not_finite(found)):
            self._skipped(parts, bad)
        else:
            self.window.add(found | masked_shares(parts), studies, joint=joint)
        self.reporter.advance(studies)

    def _timed(self, batches: Iterable[list[Batch]]) -> Iterator[list[Batch]]:
        """The batches, while the window learns how long each was waited for."""
        source = iter(batches)
        while True:
            began = time.monotonic()
            batch = next(source, None)
            self.window.waited += time.monotonic() - began
            if batch is None:
                return
            yield batch

    def _skipped(self, parts: list[Batch], bad: list[str]) -> None:
        """Counts a step that was left out, and names its studies."""
        self.progress.skipped += 1
        numbers = ranks.gathered(torch.cat([part.studies for part in parts]))
        self.journal.skipped(self.progress, bad, self._ids(numbers))

    def _ids(self, studies: Iterable[Any]) -> list[str]:
        return [self.dataset.study(int(study)).id for study in studies]

    def _go_back(self, found: NotFinite) -> None:
        """Takes the newest checkpoint again, and from there looks at each step before it counts.

        Looking makes a GPU wait for the host, so a run there does without until a line of the log
        tells that something was not finite. On a CPU looking is free.
        """
        self.careful = True
        self.reporter.note(
            f"{found} by step {self.progress.step}; going back to the newest checkpoint"
        )
        self.window = LossWindow(self.device)
        self._restore()

    def _log_window(self) -> None:
        """Logs the mean losses since the last line; the device is read here and on saving only."""
        means = self.window.means()
        if "irc" in means:
            means["temperature"] = self.objective.contrastive.temperature.item()
        self.journal.losses(self.progress, self.rate, self.window, means)
        self.reporter.advance(0, {k: v for k, v in means.items() if k in TASKS})
        self.window = LossWindow(self.device)

    def _validate(self) -> None:
        studies = self.dataset.reported("val")[: self.config.train.validation_studies]
        if not len(studies):
            raise RunError("the data set has no validation studies to select the model on")
        self.reporter.begin("validation", len(ranks.share(studies)), 0)
        with eager(self.config.train):
            found = validate(
                self.objective.model,
                self.builder,
                studies,
                self.train_reports,
                self.config.generation,
                self._validated,
            )
            signs = saturation(self.objective.model, self.builder, studies)
        progress = self.progress
        score = getattr(found, self.config.train.select_by)
        is_best = progress.best is None or score > progress.best
        progress.stale = 0 if is_best else progress.stale + 1
        if is_best:
            progress.best, progress.best_epoch = score, progress.epoch + 1
            save = partial(self.run_folder.save_model, self.objective.model, self.processor)
            on_first(save, lambda: None)
        self.journal.validation(progress, found, signs, is_best)
        shown = self._ids(studies[:SHOWN_REPORTS])
        self.journal.reports(shown, found.reports[: len(shown)], progress.step)
        self.journal.warn(progress.step)
        if progress.stale == self.config.train.patience:
            self.journal.stopped_early(progress)

    def _save(self) -> None:
        self.progress.window = self.window.sums()  # on all ranks: all go back together
        on_first(self._write_checkpoint, lambda: None)

    def _write_checkpoint(self) -> None:
        self.progress.scaler = self.precision.state()
        self.progress.log_bytes = self.run_folder.log_size()
        save_checkpoint(
            self.run_folder.checkpoint_folder, self.objective, self.optimizer, self.progress
        )

    def _stop(self, number: int, _: Any) -> None:
        self.stopped_by = number

    def _leave(self) -> NoReturn:
        self.progress.window = self.window.sums()
        if not ranks.own():
            self._write_checkpoint()
        raise RunError(f"stopped at step {self.progress.step}; continue with --resume")

    def _validated(self, studies: int) -> None:
        """Between two batches of a validation; ranks have unequal numbers and do not confer."""
        self.reporter.advance(studies)
        if self.stopped_by is not None:
            self._leave()
