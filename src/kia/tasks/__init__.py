"""The five objectives, one file each, and their weighted sum (Paper: Sec. 3.2-3.4)."""

from kia.tasks.joint import TASKS, JointLoss, JointObjective, active_tasks

__all__ = ["TASKS", "JointLoss", "JointObjective", "active_tasks"]
