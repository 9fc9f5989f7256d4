"""The five components of the paper, from one transformer block (Paper: Sec. 3.1)."""

from transformers import AutoConfig, AutoModel

from kia.models.configuration import KIAConfig, model_configuration
from kia.models.kia import KIAForReportGeneration
from kia.models.momentum import MomentumEncoders

AutoConfig.register("kia", KIAConfig, exist_ok=True)
AutoModel.register(KIAConfig, KIAForReportGeneration, exist_ok=True)

__all__ = ["KIAConfig", "KIAForReportGeneration", "MomentumEncoders", "model_configuration"]
