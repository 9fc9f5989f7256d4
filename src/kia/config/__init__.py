"""RunConfig: everything a training run can be told, as YAML presets and `--set a.b=c`.

One pydantic model for each part (`model.py`, `parts.py`); a misspelt key is refused with its path
and the nearest right name (`files.py`). The `model` part is plain data too: `kia.models` turns it
into the `CheckpointConfig` of a checkpoint, so that nothing here needs torch or transformers.
"""

from kia.config.files import changed, fields, load_config, preset_names, preset_text, validate
from kia.config.model import (
    MOST_PIECES,
    MOST_SIDE,
    STEM_FILE,
    ImageEncoderConfig,
    ModelConfig,
    Part,
    TextEncoderConfig,
)
from kia.config.parts import (
    MOST_THREADS,
    ContrastiveConfig,
    DataConfig,
    FrozenPart,
    GenerationConfig,
    MaskedImageConfig,
    MaskedLanguageConfig,
    MatchingConfig,
    ReportGenerationConfig,
    Rerank,
    RunConfig,
    StageConfig,
    TasksConfig,
    TrainConfig,
)

__all__ = [
    "MOST_PIECES",
    "MOST_SIDE",
    "MOST_THREADS",
    "STEM_FILE",
    "ContrastiveConfig",
    "DataConfig",
    "FrozenPart",
    "GenerationConfig",
    "ImageEncoderConfig",
    "MaskedImageConfig",
    "MaskedLanguageConfig",
    "MatchingConfig",
    "ModelConfig",
    "Part",
    "ReportGenerationConfig",
    "Rerank",
    "RunConfig",
    "StageConfig",
    "TasksConfig",
    "TextEncoderConfig",
    "TrainConfig",
    "changed",
    "fields",
    "load_config",
    "preset_names",
    "preset_text",
    "validate",
]
