"""KIAConfig: config.json as transformers reads it."""

from typing import Any

from transformers import AutoConfig, PretrainedConfig

from kia.installed import installed_folder
from kia.models.configuration import CheckpointConfig


class KIAConfig(PretrainedConfig, CheckpointConfig):
    """`kia.models.configuration.CheckpointConfig` with what transformers adds to it."""

    model_type = "kia"

    def __post_init__(self, **others: Any) -> None:
        """Completes a configuration.

        Raises:
            ValueError: A value is of another type, or beyond its range.

        Args:
            others: Keys of config.json that are no fields. `attn_implementation` may name code on
                the hub; the transformer block has its own attention, so it is dropped.
        """
        others.pop("attn_implementation", None)
        super().__post_init__(**others)
        if self.image_tower:  # transformers builds an empty one to compare with
            CheckpointConfig.checked(self.to_dict())

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: Any, *arguments: Any, **options: Any
    ) -> Any:
        """As that of transformers.

        Args:
            source: Model folder, the name of an installed model, or id on the hub.
            arguments: Those of transformers.
            options: Those of transformers.
        """
        if isinstance(source, str):
            source = installed_folder(source)
        return super().from_pretrained(source, *arguments, **options)


AutoConfig.register("kia", KIAConfig, exist_ok=True)
