"""The parts of a run's configuration: one pydantic model for each."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Part(BaseModel):
    """Base of all parts: unknown keys are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ImageEncoderConfig(Part):
    """The image tower, a ViT (Paper: Sec. 3.1, Image Encoder)."""

    width: int = Field(768, gt=0, description="features of a patch, D")
    depth: int = Field(12, gt=0, description="transformer blocks")
    heads: int = Field(12, gt=0, description="attention heads; must divide width")
    ffn_width: int = Field(3072, gt=0, description="hidden features of the feed-forward network")
    patch_size: int = Field(16, gt=0, description="side of a patch, pixels")
    channels: Literal[1, 3] = Field(1, description="1 grey; 3 repeats grey (pretrained ViTs)")
    stem: Literal["patch", "conv", "efficientnet-lite0"] = Field(
        "patch",
        description="patch: one strided projection (ViT); conv: five 3x3 layers; "
        "efficientnet-lite0: that network",
    )
    standardise: bool = Field(
        False, description="take out of the features what all patches have in common (batch norm)"
    )
    norm_position: Literal["pre", "post"] = Field(
        "pre", description="layer norm before (ViT) or after (Eq. 1, BERT) each sublayer"
    )
    layer_norm_eps: float = Field(1e-12, gt=0, description="epsilon of the layer norms")
    dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="dropout on what a sublayer adds; and of the stem efficientnet-lite0 on whole "
        "features of an image",
    )
    pretrained: str | None = Field(
        None,
        description="ViT checkpoint: a hub name or a folder; of the stem efficientnet-lite0 its "
        "own name: the weights trained on ImageNet",
    )


class TextEncoderConfig(Part):
    """The text tower, a BERT (Paper: Sec. 3.1, Text Encoder)."""

    width: int = Field(768, gt=0, description="features of a token, D")
    depth: int = Field(12, gt=0, description="transformer blocks")
    heads: int = Field(12, gt=0, description="attention heads; must divide width")
    ffn_width: int = Field(3072, gt=0, description="hidden features of the feed-forward network")
    max_positions: int = Field(512, gt=1, description="longest text, tokens")
    vocab_size: int = Field(
        30522, gt=0, description="word pieces at most; a trained vocabulary may be smaller"
    )
    norm_position: Literal["pre", "post"] = Field(
        "post", description="layer norm before (ViT) or after (Eq. 1, BERT) each sublayer"
    )
    layer_norm_eps: float = Field(1e-12, gt=0, description="epsilon of the layer norms")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on what a sublayer adds")
    pretrained: str | None = Field(
        None, description="BERT checkpoint with its tokenizer: a hub name or a folder"
    )


class ModelConfig(Part):
    """The five components (Paper: Sec. 3.1)."""

    image_size: int = Field(224, gt=0, description="side of the square input image, pixels")
    image_encoder: ImageEncoderConfig = Field(
        default_factory=ImageEncoderConfig, description="the image tower"
    )
    text_encoder: TextEncoderConfig = Field(
        default_factory=TextEncoderConfig, description="the text tower"
    )
    share_parameters: bool = Field(
        True, description="one image and one text tower in all modes, or five towers (Table 4)"
    )
    projection_width: int = Field(256, gt=0, description="width P of the contrastive embeddings")
    standardise_projections: bool = Field(
        False, description="take the mean of all studies out of global features before IRC compares"
    )
    initializer_range: float = Field(0.02, gt=0, description="standard deviation of new weights")

    @model_validator(mode="after")
    def _fits(self) -> "ModelConfig":
        for tower in (self.image_encoder, self.text_encoder):
            if tower.width % tower.heads:
                raise ValueError(f"width {tower.width} is not a multiple of heads {tower.heads}")
        if self.image_size % self.image_encoder.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size "
                f"{self.image_encoder.patch_size}"
            )
        stem = self.image_encoder.stem
        side = {"conv": 16, "efficientnet-lite0": 32}.get(stem, self.image_encoder.patch_size)
        if self.image_encoder.patch_size != side:
            raise ValueError(
                f"the {stem} stem makes patches of {side} pixels; set patch_size: {side}"
            )
        if stem == "efficientnet-lite0" and self.image_encoder.pretrained not in (None, stem):
            raise ValueError(
                f"the {stem} stem takes no ViT's weights; set image_encoder.pretrained: {stem}, "
                "or null to start from random weights"
            )
        return self


class MaskedImageConfig(Part):
    """Masked image modelling (Paper: Sec. 3.2, Eq. 4)."""

    weight: float = Field(1.0, ge=0, description="λ1 of Eq. 9; 0 switches the task off")
    masking: Literal["general", "anatomy"] = Field(
        "general",
        description="general: every patch alike; anatomy: rather those that the report speaks of",
    )
    p_total: float = Field(0.6, gt=0, lt=1, description="expected share of masked patches")
    p_key: float = Field(
        0.9, gt=0, le=1, description="anatomy: share masked of the key patches (Eq. 2-3)"
    )


class MaskedLanguageConfig(Part):
    """Masked language modelling (Paper: Sec. 3.2, Eq. 5)."""

    weight: float = Field(1.0, ge=0, description="λ2 of Eq. 9; 0 switches the task off")
    masking: Literal["general", "graph", "label", "graph+label"] = Field(
        "general",
        description="general: as BERT; graph: observations or anatomy of each sentence; label: "
        "every present/absent of the label report; graph+label: one or the other, by a coin",
    )
    p_mask: float = Field(
        0.15, gt=0, lt=1, description="general: share of tokens masked (80/10/10)"
    )
    uncertain_as: Literal["present", "absent", "skip"] = Field(
        "present", description="label: how the label report words an uncertain observation"
    )


class ContrastiveConfig(Part):
    """Image-report contrastive learning (Paper: Sec. 3.3, Eq. 6; details from ALBEF)."""

    weight: float = Field(1.0, ge=0, description="λ3 of Eq. 9; 0 switches the task off")
    queue_length: int = Field(
        1024, gt=0, description="length Q of the queues, studies; half an epoch at most"
    )
    momentum: float = Field(0.995, ge=0, lt=1, description="EMA coefficient")
    temperature: float = Field(0.07, gt=0, description="initial τ; learnt, kept in 0.001 to 0.5")
    soft_targets: float = Field(
        0.0, ge=0, le=1, description="share of momentum similarities in the targets (ALBEF: 0.4)"
    )
    same_report_is_positive: bool = Field(
        False,
        description="spread the target over word-for-word equal reports; without it they are no "
        "candidates, and the target is one-hot as in Eq. 6",
    )


class MatchingConfig(Part):
    """Image-report matching (Paper: Sec. 3.3, Eq. 7)."""

    weight: float = Field(1.0, ge=0, description="λ4 of Eq. 9; 0 switches the task off")


class ReportGenerationConfig(Part):
    """Report generation (Paper: Sec. 3.4, Eq. 8)."""

    weight: float = Field(1.0, gt=0, description="λ5 of Eq. 9")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="cross-entropy label smoothing")


class TasksConfig(Part):
    """The five objectives and their weights λ1 to λ5 (Paper: Eq. 9)."""

    mim: MaskedImageConfig = Field(
        default_factory=MaskedImageConfig, description="masked image modelling"
    )
    mlm: MaskedLanguageConfig = Field(
        default_factory=MaskedLanguageConfig, description="masked language modelling"
    )
    irc: ContrastiveConfig = Field(
        default_factory=ContrastiveConfig, description="image-report contrast"
    )
    irm: MatchingConfig = Field(default_factory=MatchingConfig, description="image-report matching")
    rg: ReportGenerationConfig = Field(
        default_factory=ReportGenerationConfig, description="report generation"
    )


class DataConfig(Part):
    """How studies become batches."""

    max_words: int = Field(60, gt=0, description="longest report, words (IU 60, MIMIC 100)")
    shift: float = Field(0.04, ge=0, lt=0.5, description="largest random shift, share of a side")
    scale: float = Field(0.08, ge=0, lt=0.5, description="largest random zoom, share")
    brightness: float = Field(0.1, ge=0, lt=1, description="largest change, share of the range")
    contrast: float = Field(0.15, ge=0, lt=1, description="largest change, share")
    workers: int = Field(0, ge=0, description="loader processes; 0 loads in the training process")


class StageConfig(Part):
    """One training stage (Paper: Sec. 4.2)."""

    epochs: int = Field(ge=0, description="passes over the training split; 0 skips the stage")
    learning_rate: float = Field(1e-4, gt=0, description="initial learning rate")


FrozenPart = Literal["image_stem", "image_tower", "text_tower", "cross_attention"]


class TrainConfig(Part):
    """Optimisation (Paper: Sec. 4.2)."""

    seed: int = Field(0, ge=0, lt=2**32, description="of everything random in the run")
    batch_size: int = Field(32, gt=0, description="studies a step, over all processes and parts")
    accumulate: int = Field(
        1, gt=0, description="parts of a batch computed one after another, to save memory"
    )
    joint: StageConfig = Field(
        default_factory=lambda: StageConfig(epochs=40), description="stage 1: all five tasks"
    )
    generation: StageConfig = Field(
        default_factory=lambda: StageConfig(epochs=5), description="stage 2: generation alone"
    )
    rehearse_every: int | None = Field(
        None,
        gt=0,
        description="stage 2: every so many steps one of all five tasks, which would be forgotten; "
        "none if absent, as in the paper",
    )
    decay_per_epoch: float = Field(0.98, gt=0, le=1, description="learning-rate factor an epoch")
    warmup_steps: int = Field(0, ge=0, description="linear warm-up at the start of a stage, steps")
    weight_decay: float = Field(0.05, ge=0, description="decoupled; none on biases and norms")
    beta2: float = Field(
        0.999,
        gt=0.9,
        lt=1,
        description="memory of squared gradients; RAdam warms up over about 2 / (1 − β2) steps",
    )
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning-rate factor a layer down a tower; 1 switches it off"
    )
    frozen: list[FrozenPart] = Field(
        default_factory=list, description="parts that keep the weights they were loaded with"
    )
    keep_frozen_features: bool = Field(
        False,
        description="on CPUs: compute what the frozen stem efficientnet-lite0 makes of an image "
        "once (4 GB at most); no random shifts, zooms or grey values then",
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="autocast; auto: bfloat16 where the device has it; float16 is scaled"
    )
    compile: bool = Field(False, description="compile the transformer blocks (torch.compile)")
    activation_checkpointing: bool = Field(
        False, description="compute blocks again in the backward pass: less memory, more time"
    )
    validate_every: int = Field(1, gt=0, description="epochs between validations")
    validation_studies: int | None = Field(
        None, gt=0, description="validate on the first so many studies; all if absent"
    )
    select_by: Literal["cider", "image_gain"] = Field(
        "cider", description="what the kept model, and the start of stage 2, is best at"
    )
    patience: int | None = Field(
        None, gt=0, description="validations without a better model that end a stage"
    )
    skip_limit: int = Field(
        20, ge=0, description="steps left out for a loss or gradient not finite; one more ends it"
    )
    tensorboard: bool = Field(
        False, description="write events for TensorBoard, generated reports too, in the run folder"
    )
    checkpoint_every: int = Field(200, gt=0, description="steps between checkpoints")
    threads: int | None = Field(None, gt=0, description="CPU threads; all cores if absent")

    @model_validator(mode="after")
    def _has_studies_for_every_part(self) -> "TrainConfig":
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate {self.accumulate} is more parts than batch_size {self.batch_size} "
                "has studies"
            )
        return self


Rerank = Literal["none", "match", "labels", "likelihood", "match+likelihood"]


class GenerationConfig(Part):
    """Defaults of decoding, recorded in the model folder."""

    beams: int = Field(3, gt=0, description="beam width K; 1 is greedy")
    max_tokens: int = Field(100, gt=0, description="longest report, tokens")
    length_penalty: float = Field(
        1.0, description="exponent of the length by which a beam's score is divided"
    )
    repetition_penalty: float = Field(
        1.0, gt=0, description="divides the scores of tokens that were written; 1 switches it off"
    )
    no_repeat_ngram: int = Field(
        0, ge=0, description="so many tokens in a row are never written twice; 0 switches it off"
    )
    candidates: int = Field(1, gt=0, description="reports of which one is chosen")
    rerank: Rerank = Field(
        "none",
        description="chosen by; none: the decoder's own; match: [MATCH]; labels: how well the "
        "observations fit [MASK]; likelihood: log probability a token; match+likelihood: the sum "
        "of both logarithms",
    )
    batch_size: int = Field(32, gt=0, description="studies decoded together")


class RunConfig(Part):
    """A whole run: model, tasks, data, training and decoding."""

    model: ModelConfig = Field(default_factory=ModelConfig, description="the five components")
    tasks: TasksConfig = Field(default_factory=TasksConfig, description="the five objectives")
    data: DataConfig = Field(default_factory=DataConfig, description="batches")
    train: TrainConfig = Field(default_factory=TrainConfig, description="optimisation")
    generation: GenerationConfig = Field(default_factory=GenerationConfig, description="decoding")

    @model_validator(mode="after")
    def _keeps_features_that_come_again(self) -> "RunConfig":
        if not self.train.keep_frozen_features:
            return self
        data = self.data
        if self.model.image_encoder.stem != "efficientnet-lite0" or not (
            {"image_stem", "image_tower"} & {*self.train.frozen}
        ):
            raise ValueError(
                "train.keep_frozen_features needs model.image_encoder.stem: efficientnet-lite0 "
                "and train.frozen: [image_stem]"
            )
        if data.shift or data.scale or data.brightness or data.contrast:
            raise ValueError(
                "train.keep_frozen_features needs images that come again: set data.shift, scale, "
                "brightness and contrast to 0"
            )
        return self
