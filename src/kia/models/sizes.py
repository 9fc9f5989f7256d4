"""Parameter counts by component, without allocating a weight."""

import copy

import torch

from kia.config import RunConfig
from kia.models.configuration import CheckpointConfig, model_configuration
from kia.models.folder import NothingDrawn
from kia.models.kia import KIAModel

TASKS = ["mim", "mlm", "irc", "irm", "rg"]


def preset_configuration(config: RunConfig) -> CheckpointConfig:
    """The checkpoint configuration of a preset with its whole vocabulary and all heads."""
    return model_configuration(
        config.model,
        vocab_size=config.model.text_encoder.vocab_size,
        token_ids={"[PAD]": 0, "[SEP]": 1, "[START]": 2, "[MATCH]": 3},
        tasks=TASKS,
    )


def model_sizes(config: CheckpointConfig, *, shared: bool) -> dict[str, int]:
    """Parameters by component.

    Args:
        config: Of the model.
        shared: Count one tower of each kind (True) or five towers (Paper: Table 4).
    """
    chosen = copy.deepcopy(config)
    chosen.share_parameters = shared
    with torch.device("meta"), NothingDrawn():
        model = KIAModel(chosen)
    names = {
        "image_tower": "image tower (I-Enc, I-CMEnc)" if shared else "I-Enc",
        "image_cross_tower": "I-CMEnc",
        "text_tower": "text tower (T-Enc, T-CMEnc, T-Dec)" if shared else "T-Enc",
        "text_cross_tower": "T-CMEnc",
        "text_decoder_tower": "T-Dec",
    }
    sizes: dict[str, int] = {}
    for child, module in model.named_children():
        name = names.get(child, "heads and view embedding")
        sizes[name] = sizes.get(name, 0) + sum(p.numel() for p in module.parameters())
    return sizes | {"total": sum(sizes.values())}
