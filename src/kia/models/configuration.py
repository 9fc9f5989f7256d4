"""CheckpointConfig: what a model folder must know to build the same model again."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from kia.config import (
    MOST_PIECES,
    GenerationConfig,
    ImageEncoderConfig,
    ModelConfig,
    Part,
    TextEncoderConfig,
)
from kia.files.plain import read_json
from kia.files.records import Record, first_problem


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
            ValueError: It is not JSON, of another kind of model, or a value is missing, of another
                type, or beyond its range.
            OSError: It cannot be read.
        """
        try:
            found = read_json(file)
            if not isinstance(found, dict) or found.get("model_type") != "kia":
                raise ValueError("not that of a kia model (model_type is not 'kia')")
            return cls.checked(found)
        except ValueError as error:
            raise ValueError(f"{file.name}: {error}") from None

    @classmethod
    def checked(cls, found: dict[str, Any]) -> Self:
        """The configuration in plain values; ValueError as `from_file`."""
        return cls(**_Said.of(found).model_dump())

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
            pydantic.ValidationError: `generation_defaults` were changed to none.
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


Task = Literal["mim", "mlm", "irc", "irm", "rg"]
_Piece = Annotated[int, Field(ge=0, lt=MOST_PIECES)]
_Share = Annotated[float, Field(gt=0, lt=1)]
_OBSERVATIONS = 14


class _Said(Record):
    """What config.json must say; the fields of `CheckpointConfig`."""

    model_config = ConfigDict(strict=False)

    image_tower: ImageEncoderConfig
    text_tower: TextEncoderConfig
    image_size: int
    share_parameters: bool
    projection_width: int
    standardise_projections: bool
    initializer_range: float
    tasks: list[Task] | None
    vocab_size: Annotated[int, Field(gt=0, le=MOST_PIECES)]
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    pad_token_id: _Piece
    eos_token_id: _Piece
    start_token_id: _Piece
    match_token_id: _Piece
    label_shares: (
        Annotated[list[_Share], Field(min_length=_OBSERVATIONS, max_length=_OBSERVATIONS)] | None
    ) = None
    generation_defaults: GenerationConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _says_all_of_a_tower(cls, found: Any) -> Any:
        """A default in place of what was lost would be another model."""
        kinds: dict[str, type[Part]] = {
            "image_tower": ImageEncoderConfig,
            "text_tower": TextEncoderConfig,
        }
        for name, kind in kinds.items():
            tower = found.get(name) if isinstance(found, dict) else None
            if isinstance(tower, dict) and (lost := kind.model_fields.keys() - tower.keys()):
                raise ValueError(f"{name} has no {min(lost)}")
        return found

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            ModelConfig(
                image_encoder=self.image_tower,
                text_encoder=self.text_tower,
                image_size=self.image_size,
                projection_width=self.projection_width,
                initializer_range=self.initializer_range,
            )
        except ValidationError as error:
            raise ValueError(first_problem(error)) from None
        text = self.text_tower
        said = (self.hidden_size, self.num_hidden_layers, self.num_attention_heads)
        if said != (text.width, text.depth, text.heads):
            raise ValueError(
                "hidden_size, num_hidden_layers or num_attention_heads are not those of text_tower"
            )
        ids = (self.pad_token_id, self.eos_token_id, self.start_token_id, self.match_token_id)
        if len({*ids}) < len(ids) or max(ids) >= self.vocab_size:
            raise ValueError("the ids of special tokens are not four of the vocabulary")
        if self.tasks and len({*self.tasks}) < len(self.tasks):
            raise ValueError("tasks: one comes twice")
        return self
