"""Training: two stages, checkpoints, validation (Paper: Sec. 4.2).

The names below are loaded at their first use: reading the log of a run needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Reporter", "train"]

if TYPE_CHECKING:
    from kia.training.loop import train as train
    from kia.training.reporter import Reporter as Reporter

_HOME = {"Reporter": "kia.training.reporter", "train": "kia.training.loop"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kia.training' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
