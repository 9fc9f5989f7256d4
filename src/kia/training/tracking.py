"""TensorBoard events of a run (extra `tracking`), written beside its log.

They say what log.jsonl says, and show a few generated reports. Those are patient data as the
reports of the data set are: nothing leaves the run folder.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kia.errors import require
from kia.tasks.joint import TASKS
from kia.training.run_log import Line

FOLDER = "tensorboard"

TAGS = {
    **{task: f"loss/{task}" for task in TASKS},
    "learning_rate": "step/learning_rate",
    "gradient_norm": "step/gradient_norm",
    "temperature": "step/temperature",
    "masked_patches": "masked/patches",
    "masked_tokens": "masked/tokens",
    "studies_per_second": "speed/studies_per_second",
    "data_wait": "speed/data_wait",
}
"""Where the values of a line of training stand."""

NOT_SHOWN = {"kind", "stage", "epoch", "step", "best", "studies"}


def require_tensorboard() -> None:
    """Refuses before the first step what could not be written.

    Raises:
        MissingDependency: tensorboard is not installed.
    """
    require("tensorboard", "tracking", "train.tensorboard")


class Tracker:
    """Writes the events of one process of a run."""

    def __init__(self, run: Path, step: int, log: Iterable[Line]) -> None:
        """Starts, or continues behind `step` and hides what an interrupted process wrote later.

        TensorBoard hides events of the purge step and all later ones. What the log still holds of
        the last step stays where its validation was finished; else the validation will come again.

        Args:
            run: Run folder.
            step: Steps that the checkpoint has; 0 for a new run.
            log: Lines of the log up to that checkpoint.
        """
        from torch.utils.tensorboard import SummaryWriter

        last = [line for line in log if line.get("step") == step]
        is_whole = any(line["kind"] == "validation" for line in last)
        self._writer: Any = SummaryWriter(
            str(run / FOLDER), purge_step=step + 1 if is_whole else step
        )
        if not is_whole:
            for line in last:
                self.line(line)

    def line(self, line: Line) -> None:
        """The numbers of a line of the log."""
        if line["kind"] == "train":
            self._scalars({TAGS[name]: line[name] for name in TAGS if name in line}, line["step"])
        elif line["kind"] == "validation":
            shown = {f"validation/{name}": line[name] for name in line if name not in NOT_SHOWN}
            self._scalars(shown, line["step"])
        elif line["kind"] == "warning":
            self._writer.add_text("warnings", f"{line['text']}: {line['advice']}", line["step"])
        self._writer.flush()

    def reports(self, ids: Sequence[str], texts: Sequence[str], step: int) -> None:
        """Generated reports of a few validation studies (never the true ones)."""
        shown = [f"**{study}**\n\n{text}" for study, text in zip(ids, texts, strict=True)]
        self._writer.add_text("generated reports", "\n\n".join(shown), step)
        self._writer.flush()

    def close(self) -> None:
        """Finishes the file."""
        self._writer.close()

    def _scalars(self, values: Mapping[str, float], step: int) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)
