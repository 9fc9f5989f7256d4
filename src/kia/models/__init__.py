"""The five components of the paper, from one transformer block (Paper: Sec. 3.1)."""

from kia.models.configuration import CheckpointConfig, model_configuration
from kia.models.kia import KIAModel
from kia.models.momentum import MomentumEncoders

__all__ = ["CheckpointConfig", "KIAModel", "MomentumEncoders", "model_configuration"]
