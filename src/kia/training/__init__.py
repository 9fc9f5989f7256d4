"""Training: two stages, checkpoints, validation (Paper: Sec. 4.2)."""

from kia.training.loop import Reporter, train

__all__ = ["Reporter", "train"]
