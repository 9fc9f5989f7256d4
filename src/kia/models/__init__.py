"""The five components of the paper, from one transformer block (Paper: Sec. 3.1).

The names below are loaded at their first use: transformers may ask for the configuration while it
is itself half loaded (`kia.auto_classes`), when the model cannot be built yet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kia.models.configuration import KIAConfig as KIAConfig
    from kia.models.configuration import model_configuration as model_configuration
    from kia.models.kia import KIAForReportGeneration as KIAForReportGeneration
    from kia.models.momentum import MomentumEncoders as MomentumEncoders

_HOME = {
    "KIAConfig": "kia.models.configuration",
    "KIAForReportGeneration": "kia.models.kia",
    "MomentumEncoders": "kia.models.momentum",
    "model_configuration": "kia.models.configuration",
}

__all__ = ["KIAConfig", "KIAForReportGeneration", "MomentumEncoders", "model_configuration"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kia.models' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
