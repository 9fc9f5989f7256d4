"""The parts of a run's configuration, one pydantic model for each; `model.py` has the model's."""

from typing import Literal

from pydantic import Field, model_validator

from kia.config.model import MOST_POSITIONS, ModelConfig, Part

MOST_THREADS = 4096
MOST_CANDIDATES = 256
MOST_BEAMS = 64


class MaskedImageConfig(Part):
    """Masked image modelling (Paper: Sec. 3.2, Eq. 4)."""

    weight: float = Field(1.0, ge=0, le=1e6, description="λ1 of Eq. 9; 0 switches the task off")
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

    weight: float = Field(1.0, ge=0, le=1e6, description="λ2 of Eq. 9; 0 switches the task off")
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

    weight: float = Field(1.0, ge=0, le=1e6, description="λ3 of Eq. 9; 0 switches the task off")
    queue_length: int = Field(
        1024, gt=0, le=1 << 22, description="length Q of the queues, studies; half an epoch at most"
    )
    momentum: float = Field(0.995, ge=0, lt=1, description="EMA coefficient")
    temperature: float = Field(
        0.07, gt=0, le=100, description="initial τ; learnt, kept in 0.001 to 0.5"
    )
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

    weight: float = Field(1.0, ge=0, le=1e6, description="λ4 of Eq. 9; 0 switches the task off")


class ReportGenerationConfig(Part):
    """Report generation (Paper: Sec. 3.4, Eq. 8)."""

    weight: float = Field(1.0, gt=0, le=1e6, description="λ5 of Eq. 9")
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

    max_words: int = Field(
        60, gt=0, le=100_000, description="longest report, words (IU 60, MIMIC 100)"
    )
    shift: float = Field(0.04, ge=0, lt=0.5, description="largest random shift, share of a side")
    scale: float = Field(0.08, ge=0, lt=0.5, description="largest random zoom, share")
    brightness: float = Field(0.1, ge=0, lt=1, description="largest change, share of the range")
    contrast: float = Field(0.15, ge=0, lt=1, description="largest change, share")
    workers: int = Field(
        0, ge=0, le=1024, description="loader processes; 0 loads in the training process"
    )


class StageConfig(Part):
    """One training stage (Paper: Sec. 4.2)."""

    epochs: int = Field(
        ge=0, le=10**6, description="passes over the training split; 0 skips the stage"
    )
    learning_rate: float = Field(1e-4, gt=0, le=1e38, description="initial learning rate")


FrozenPart = Literal["image_stem", "image_tower", "text_tower", "cross_attention"]


class TrainConfig(Part):
    """Optimisation (Paper: Sec. 4.2)."""

    seed: int = Field(0, ge=0, lt=2**32, description="of everything random in the run")
    batch_size: int = Field(
        32, gt=0, le=1 << 20, description="studies a step, over all processes and parts"
    )
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
    threads: int | None = Field(
        None, gt=0, le=MOST_THREADS, description="CPU threads; all cores if absent"
    )

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

    beams: int = Field(3, gt=0, le=MOST_BEAMS, description="beam width K; 1 is greedy")
    max_tokens: int = Field(100, gt=0, le=10**6, description="longest report, tokens")
    length_penalty: float = Field(
        1.0, ge=-10, le=10, description="exponent of the length by which a beam's score is divided"
    )
    repetition_penalty: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="divides the scores of tokens that were written; 1 switches it off",
    )
    no_repeat_ngram: int = Field(
        0,
        ge=0,
        le=MOST_POSITIONS,
        description="so many tokens in a row are never written twice; 0 switches it off",
    )
    candidates: int = Field(
        1, gt=0, le=MOST_CANDIDATES, description="reports of which one is chosen"
    )
    rerank: Rerank = Field(
        "none",
        description="chosen by; none: the decoder's own; match: [MATCH]; labels: how well the "
        "observations fit [MASK]; likelihood: log probability a token; match+likelihood: the sum "
        "of both logarithms",
    )
    batch_size: int = Field(32, gt=0, le=1 << 16, description="studies decoded together")


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
