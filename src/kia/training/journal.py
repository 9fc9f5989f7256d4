"""What a run says of itself: lines of its log, TensorBoard, and warnings, each once."""

from collections.abc import Mapping
from typing import Any

from kia.config import RunConfig, TasksConfig
from kia.errors import RunError
from kia.tasks.joint import queue_length
from kia.training.checkpoint import Progress
from kia.training.health import health_warnings
from kia.training.loss_window import LossWindow
from kia.training.reporter import Reporter
from kia.training.run_folder import RunFolder
from kia.training.run_log import Line, read_log
from kia.training.tracking import Tracker
from kia.training.validation import Validation

SHOWN_REPORTS = 8  # generated reports a validation, in TensorBoard


class Journal:
    """Writes log.jsonl, and what follows from it. Ranks beside the first keep none."""

    def __init__(
        self, run: RunFolder, config: RunConfig, reporter: Reporter, *, writes: bool
    ) -> None:
        """A journal without lines; `writes` is whether this rank keeps it."""
        self._run, self._reporter, self._writes = run, reporter, writes
        self._config = config.train
        self._lines: list[Line] = []
        self._tracker: Tracker | None = None

    def begin(self, step: int) -> None:
        """Goes on behind the lines that the log holds, which end at `step`."""
        self.close()
        if not self._writes:
            return
        self._lines = read_log(self._run.log_file)
        if self._config.tensorboard:
            self._tracker = Tracker(self._run.path, step, self._lines)

    def line(self, **line: Any) -> None:
        """Appends a line to the log."""
        if not self._writes:
            return
        self._run.log(**line)
        self._lines.append(line)
        if self._tracker:
            self._tracker.line(line)

    def started(self, what: str) -> None:
        """Says which weights the run started from."""
        self.line(kind="start", what=what)
        self._reporter.note(what)

    def _told(self, kind: str) -> bool:
        """Whether the log has such a line: a run that died before its first step wrote it."""
        return any(line.get("kind") == kind for line in self._lines)

    def queue(self, tasks: TasksConfig, studies: int) -> None:
        """Says that the queues of IRC are cut, where half an epoch of studies is shorter."""
        kept = queue_length(tasks, studies)
        if tasks.irc.weight and kept < tasks.irc.queue_length and not self._told("queue"):
            self.line(kind="queue", wanted=tasks.irc.queue_length, kept=kept)
            self._reporter.note(
                f"queues of IRC: {kept} studies, half an epoch, instead of "
                f"tasks.irc.queue_length {tasks.irc.queue_length}"
            )

    def knowledge(self, shares: Mapping[str, float | None]) -> None:
        """Says how often knowledge-guided masks fall back to chance (`knowledge_shares`)."""
        if self._told("knowledge"):
            return
        if shares:
            self.line(kind="knowledge", **shares)
        for what, share in shares.items():
            if share:
                self._reporter.note(f"{share:.1%} of {what.replace('_', ' ')}: masked at random")

    def losses(
        self, progress: Progress, rate: float, window: LossWindow, means: Mapping[str, float]
    ) -> None:
        """Logs what training did since the last such line.

        Args:
            progress: Where the run stands.
            rate: Learning rate of the last step.
            window: Knows how fast it was.
            means: Of the losses, by name.
        """
        self.line(
            kind="train",
            **_place(progress),
            learning_rate=rate,
            studies_per_second=window.studies_per_second,
            data_wait=window.data_wait,
            **means,
        )

    def validation(
        self, progress: Progress, found: Validation, signs: Mapping[str, float], best: bool
    ) -> None:
        """Says what a validation found.

        Args:
            progress: Within the epoch that it ends.
            found: By it.
            signs: Of `saturation`.
            best: Whether its model is the best so far.
        """
        self.line(
            kind="validation",
            **_place(progress),
            cider=found.cider,
            unique_reports=found.unique_reports,
            studies=found.studies,
            loss=found.loss,
            image_gain=found.image_gain,
            **signs,
            best=best,
        )
        self._reporter.note(
            f"epoch {progress.epoch + 1}: CIDEr {found.cider:.3f}, "
            f"{found.unique_reports} different reports for {found.studies} studies, "
            f"loss {found.loss:.3f}, image gain {found.image_gain:.3f} nats a token"
            f"{' (best)' if best else ''}"
        )

    def stopped_early(self, progress: Progress) -> None:
        """Says that a stage ends because it no longer finds a better model."""
        self.line(kind="stopped_early", stage=progress.stage, epoch=progress.epoch + 1)
        self._reporter.note(f"no better model in {progress.stale} validations: the stage ends")

    def skipped(self, progress: Progress, bad: list[str], studies: list[str]) -> None:
        """Names a step that was left out, whatever its rank.

        Args:
            progress: With that step counted.
            bad: The losses that are not finite, or "gradient_norm".
            studies: Ids of the studies of the whole batch.

        Raises:
            RunError: There have been more than `train.skip_limit`.
        """
        self.line(kind="skipped", **_place(progress), not_finite=bad, studies=studies)
        what = f"step {progress.step} left out: {', '.join(bad)} not finite for {_few(studies)}"
        self._reporter.note(what)
        limit = self._config.skip_limit
        if progress.skipped > limit:
            raise RunError(
                f"{what}. With it {progress.skipped} steps are left out, and train.skip_limit is "
                f"{limit}: look at those studies, lower train.{progress.stage}.learning_rate, "
                "raise train.warmup_steps, or use --set train.precision=float32"
            )

    def reports(self, ids: list[str], texts: list[str], step: int) -> None:
        """Shows generated reports of a validation, in TensorBoard alone."""
        if self._tracker:
            self._tracker.reports(ids, texts, step)

    def warn(self, step: int, *, finished: bool = False) -> None:
        """Says what is wrong with the run, as far as it has not been said."""
        said = {line["rule"] for line in self._lines if line["kind"] == "warning"}
        for found in health_warnings(self._lines, finished=finished):
            if found.rule not in said:
                self.line(kind="warning", step=step, **vars(found))
                self._reporter.note(f"warning: {found.text}. Try: {found.advice}")

    def close(self) -> None:
        """Finishes the files of TensorBoard."""
        if self._tracker:
            self._tracker.close()
            self._tracker = None


def _place(progress: Progress) -> dict[str, Any]:
    """What a line of the log says of its place in the run."""
    return {"stage": progress.stage, "epoch": progress.epoch + 1, "step": progress.step}


def _few(studies: list[str]) -> str:
    """Ids for a line on the screen; the log has all."""
    more = f" and {len(studies) - 8} more (see log.jsonl)" if len(studies) > 8 else ""
    return f"studies {', '.join(studies[:8])}{more}"
