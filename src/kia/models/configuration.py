"""CheckpointConfig: what a model folder must know to build the same model again."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from kia.config import GenerationConfig, ModelConfig


@dataclass(kw_only=True)
class CheckpointConfig:
    """config.json of a model folder, in Hugging Face format.

    Attributes:
        image_tower: The fields of `kia.config.ImageEncoderConfig`.
        text_tower: The fields of `kia.config.TextEncoderConfig`.
        tasks: Short names of the tasks whose heads the model carries ("mim", "mlm", "irc",
            "irm", "rg").
        hidden_size: Width of the text tower; this and the next two are for transformers.
        num_hidden_layers: Its depth.
        num_attention_heads: Its heads.
        pad_token_id: [PAD].
        eos_token_id: [SEP], which ends a report.
        start_token_id: [START], before a report in the text decoder.
        match_token_id: [MATCH], before a report in image-report matching.
        label_shares: (14,) shares of the training reports that have each observation, in the
            order of `kia.knowledge.chexpert.OBSERVATIONS`; None without Label-MLM.
        generation_defaults: Decoding defaults, see `kia.config.GenerationConfig`.
    """

    image_tower: dict[str, Any] = field(default_factory=dict)
    text_tower: dict[str, Any] = field(default_factory=dict)
    image_size: int = 224
    share_parameters: bool = True
    projection_width: int = 256
    standardise_projections: bool = False
    initializer_range: float = 0.02
    tasks: list[str] | None = None
    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    pad_token_id: int = 0
    eos_token_id: int = 3
    start_token_id: int = 1
    match_token_id: int = 2
    label_shares: list[float] | None = None
    generation_defaults: dict[str, Any] | None = None
    tie_word_embeddings: bool = False

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """Reads config.json; keys that are no fields, such as those of transformers, are dropped.

        Raises:
            ValueError: It is not JSON, or of another kind of model.
            OSError: It cannot be read.
        """
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("model_type") != "kia":
            raise ValueError(f"{file.name} is not that of a kia model (model_type is not 'kia')")
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in found.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """The fields."""
        return asdict(self)

    @property
    def max_tokens(self) -> int:
        """Longest text, tokens."""
        return int(self.text_tower["max_positions"])

    @property
    def decoding_options(self) -> dict[str, Any]:
        """What `generate` is told where its caller says nothing; may be {}.

        Raises:
            pydantic.ValidationError: `generation_defaults` are none.
        """
        if not self.generation_defaults:
            return {}
        options = decoding_options(GenerationConfig(**self.generation_defaults))
        return options | {"max_new_tokens": min(options["max_new_tokens"], self.max_tokens - 1)}

    @property
    def grid(self) -> int:
        """Patches along a side of an image."""
        return int(self.image_size // self.image_tower["patch_size"])


def decoding_options(config: GenerationConfig) -> dict[str, Any]:
    """Our decoding defaults in the words of `kia.models.decoding` and of transformers."""
    return {
        "num_beams": config.beams,
        "max_new_tokens": config.max_tokens,
        "length_penalty": config.length_penalty,
        "repetition_penalty": config.repetition_penalty,
        "no_repeat_ngram_size": config.no_repeat_ngram,
    }


def model_configuration(
    model: ModelConfig, *, vocab_size: int, token_ids: dict[str, int], tasks: list[str]
) -> CheckpointConfig:
    """Turns the `model` part of a RunConfig into the configuration of a checkpoint.

    Args:
        model: The validated part.
        vocab_size: Entries of the tokenizer (not more than `model.text_encoder.vocab_size`
            unless that tokenizer is pretrained).
        token_ids: Ids of "[PAD]", "[SEP]", "[START]" and "[MATCH]".
        tasks: Short names of the tasks with a weight above 0.
    """
    text = model.text_encoder
    return CheckpointConfig(
        image_tower=model.image_encoder.model_dump(),
        text_tower=text.model_dump(),
        image_size=model.image_size,
        share_parameters=model.share_parameters,
        projection_width=model.projection_width,
        standardise_projections=model.standardise_projections,
        initializer_range=model.initializer_range,
        tasks=list(tasks),
        vocab_size=vocab_size,
        hidden_size=text.width,
        num_hidden_layers=text.depth,
        num_attention_heads=text.heads,
        pad_token_id=token_ids["[PAD]"],
        eos_token_id=token_ids["[SEP]"],
        start_token_id=token_ids["[START]"],
        match_token_id=token_ids["[MATCH]"],
    )
