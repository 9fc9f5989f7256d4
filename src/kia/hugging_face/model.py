"""KIAForReportGeneration: a kia model as one of transformers."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import AutoModel, GenerationMixin, PreTrainedModel
from transformers.utils import ModelOutput

from kia.hugging_face.configuration import KIAConfig
from kia.installed import installed_folder
from kia.models.folder import WEIGHTS, check_folder, check_values, check_weights
from kia.models.kia import KIAModel
from kia.models.transformer_block import Context


@dataclass
class WordLogits(ModelOutput):
    """One pass of the text decoder.

    Attributes:
        logits: (R, T, V).

    The self-attention cache is extended in place and stays with the caller, so it is not
    returned: its name changed between transformers releases.
    """

    logits: Tensor | None = None


class KIAForReportGeneration(KIAModel, PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """`kia.models.kia.KIAModel`, loaded, saved and decoded by transformers.

    `generate` takes transformers' generation options (`num_beams`, `max_new_tokens`, …) and returns
    what its own does; without a `generation_config`, the model's `generation_defaults` come below
    what is given.
    """

    config_class = KIAConfig
    base_model_prefix = "kia"
    main_input_name = "pixel_values"
    _no_split_modules = ["TransformerBlock"]  # noqa: RUF012
    _supports_sdpa = True

    def __init__(self, config: KIAConfig) -> None:
        """Builds the towers and the heads of `config.tasks`, with random weights."""
        PreTrainedModel.__init__(self, config)
        self._build(config)
        self.post_init()
        self.generation_config.pad_token_id = config.pad_token_id
        self.generation_config.eos_token_id = config.eos_token_id
        self.generation_config.bos_token_id = config.start_token_id

    save_pretrained = PreTrainedModel.save_pretrained  # type: ignore[assignment]

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: Any, *arguments: Any, **options: Any
    ) -> Any:
        """Loads a model folder, or a repository of the hub; in evaluation mode.

        Weights are read from safetensors alone, and no code that lies beside them is run.

        Args:
            source: Model folder, the name of an installed model, or id on the hub.
            arguments: As those of transformers.
            options: As those of transformers.

        Returns:
            The model; as that of transformers with `output_loading_info`.

        Raises:
            ModelError: The folder has no model.safetensors, its header does not fit config.json,
                or weights are none with which a model works.
            OSError: As transformers.
        """
        if isinstance(source, str | os.PathLike):
            source = installed_folder(Path(source) if isinstance(source, os.PathLike) else source)
        if isinstance(source, str | os.PathLike) and Path(source).is_dir():
            folder = Path(source) / options.get("subfolder", "")
            check_weights(folder)
            if (folder / WEIGHTS).exists():  # else in several files
                check_folder(KIAModel, folder, partial=True)
        options |= {"use_safetensors": True, "trust_remote_code": False}
        theirs: Any = super(KIAModel, cls)
        found = theirs.from_pretrained(source, *arguments, **options)
        check_values(found[0] if isinstance(found, tuple) else found, source)
        return found

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        image_context: Context,
        cache: Any | None = None,
        past_key_values: Any | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> WordLogits:
        """T-Dec: scores of the next word after each token.

        Args:
            input_ids: (B·K, T), [START] first; with a cache, only the new tokens.
            image_context: From `text_decoder.stack.context`, B contexts.
            cache: transformers' self-attention cache (5.24's name).
            past_key_values: The same under its older name.
            attention_mask: Ignored: generated rows have no padding before their end.
        """
        cache = past_key_values if cache is None else cache
        return WordLogits(logits=super().forward(input_ids, image_context, cache).logits)

    def _write(self, context: Context, begun: Tensor, options: dict[str, Any]) -> Any:
        """What transformers' own `generate` returns, told its options or a `generation_config`."""
        settings = self._decoding_options(options)
        return GenerationMixin.generate(self, input_ids=begun, image_context=context, **settings)

    def _decoding_options(self, given: dict[str, Any]) -> dict[str, Any]:
        """What is given to `generate`, and below it the defaults of the model folder."""
        if given.get("generation_config") is not None:
            return given
        defaults = self.config.decoding_options
        if defaults:
            defaults |= {"do_sample": False, "early_stopping": False}
        if "max_length" in given:
            defaults.pop("max_new_tokens", None)
        return defaults | given


AutoModel.register(KIAConfig, KIAForReportGeneration, exist_ok=True)
