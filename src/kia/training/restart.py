"""Where a run is continued: at the newest checkpoint that is as it was written."""

from collections.abc import Callable
from pathlib import Path

import torch

from kia.errors import RunError
from kia.models import ranks
from kia.training.checkpoint import checkpoint_path, checkpoints, set_aside
from kia.training.distributed import on_first
from kia.training.run_folder import RunFolder


def restore(run: RunFolder, load: Callable[[Path], None], note: Callable[[str], None]) -> bool:
    """Loads the newest whole checkpoint on every rank; False where there is none.

    Args:
        run: Of the checkpoints; tidied up first.
        load: Takes over a checkpoint, or raises RunError where it cannot.
        note: Is told of damaged ones, which are set aside.

    Raises:
        RunError: There are checkpoints, and all are damaged.
    """
    path = on_first(lambda: _newest(run, load, note), lambda: None)
    # rank 0 says which one; a number, because paths may differ between machines
    step = -1 if path is None else int(path.name.removeprefix("step-"))
    step = int(ranks.from_first(torch.tensor(step)))
    if step >= 0 and ranks.own():
        load(checkpoint_path(run.checkpoint_folder, step))
    return step >= 0


def _newest(
    run: RunFolder, load: Callable[[Path], None], note: Callable[[str], None]
) -> Path | None:
    run.tidy()
    damaged: list[tuple[Path, RunError]] = []
    for path in reversed(checkpoints(run.checkpoint_folder)):
        try:
            load(path)
        except RunError as error:
            damaged.append((path, error))
            continue
        for bad, reason in damaged:
            note(f"{reason}; continuing from the checkpoint before it")
            set_aside(bad)
        return path
    if damaged:
        raise RunError(
            f"{damaged[0][1]}; no checkpoint of the run is whole: train anew with another --out"
            + (f", if you like --from {run.path}" if run.model_folder.is_dir() else "")
        ) from damaged[0][1]
    return None
