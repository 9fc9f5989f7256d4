"""KIAConfig: config.json as transformers reads it."""

from importlib import import_module
from typing import Any

from transformers import AutoConfig, PretrainedConfig

from kia.models.configuration import CheckpointConfig


class KIAConfig(PretrainedConfig, CheckpointConfig):
    """`kia.models.configuration.CheckpointConfig` with what transformers adds to it."""

    model_type = "kia"

    def __post_init__(self, **others: Any) -> None:
        """Completes a configuration.

        Args:
            others: Keys of config.json that are no fields. `attn_implementation` may name code on
                the hub; the transformer block has its own attention, so it is dropped.
        """
        others.pop("attn_implementation", None)
        super().__post_init__(**others)
        # registers the model, before AutoModel looks for it
        import_module("kia.hugging_face.model")


AutoConfig.register("kia", KIAConfig, exist_ok=True)
