"""What a run says of itself: lines of its log, TensorBoard, and warnings, each once."""

from typing import Any

from kia.config import RunConfig
from kia.errors import RunError
from kia.training.checkpoint import Progress
from kia.training.health import health_warnings
from kia.training.reporter import Reporter
from kia.training.run_folder import RunFolder
from kia.training.run_log import Line, read_log
from kia.training.tracking import Tracker

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

    def skipped(self, progress: Progress, bad: list[str], studies: list[str]) -> None:
        """Names a step that was left out, whatever its rank.

        Args:
            progress: With that step counted.
            bad: The losses that are not finite, or "gradient_norm".
            studies: Ids of the studies of the whole batch.

        Raises:
            RunError: There have been more than `train.skip_limit`.
        """
        place = {"stage": progress.stage, "epoch": progress.epoch + 1, "step": progress.step}
        self.line(kind="skipped", **place, not_finite=bad, studies=studies)
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


def _few(studies: list[str]) -> str:
    """Ids for a line on the screen; the log has all."""
    more = f" and {len(studies) - 8} more (see log.jsonl)" if len(studies) > 8 else ""
    return f"studies {', '.join(studies[:8])}{more}"
