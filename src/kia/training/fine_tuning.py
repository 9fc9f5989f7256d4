"""`kia train --from MODEL` without a configuration: the model goes on as it is, on other data.

Architecture, image size, vocabulary, tasks and decoding are the model's own. What a folder does not
say, learning rates and epochs, is below: ours, for some hundred to some thousand studies.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kia.config import ImageEncoderConfig, RunConfig, changed, load_config, validate
from kia.data.store.dataset import PreparedDataset
from kia.errors import ModelError
from kia.generation import model_folder
from kia.models.configuration import CheckpointConfig

BASE = "small"
"""Preset of whatever is said neither by the model nor here."""
TRAIN: dict[str, Any] = {
    "joint": {"epochs": 2, "learning_rate": 3e-4},
    "generation": {"epochs": 6, "learning_rate": 2e-4},
    "validate_every": 1,
}
_STILL = {"shift": 0, "scale": 0, "brightness": 0, "contrast": 0}
_TASKS = ("mim", "mlm", "irc", "irm", "rg")


def fine_tuning(
    source: str | Path, dataset: PreparedDataset, overrides: Iterable[str] = ()
) -> RunConfig:
    """The configuration of a run that goes on with a model.

    Args:
        source: Run folder, model folder or installed model.
        dataset: Of the run; its training split bounds the size of a batch.
        overrides: As those of `--set`.

    Raises:
        ModelError: There is no such model.
        ConfigError: An override is wrong.
    """
    folder = model_folder(source)
    try:
        theirs = CheckpointConfig.from_file(folder / "config.json")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} has no usable model: {error}") from error
    tree = load_config(BASE).model_dump()
    tree["model"] = _model(theirs)
    for task in _TASKS:
        if task not in (theirs.tasks or _TASKS):
            tree["tasks"][task]["weight"] = 0
    if theirs.label_shares is not None:
        tree["tasks"]["mlm"]["masking"] = "label"
    tree["train"] |= TRAIN
    studies = len(dataset.indices("train"))
    tree["train"]["batch_size"] = max(1, min(tree["train"]["batch_size"], studies))
    if theirs.image_tower["stem"] == "efficientnet-lite0":  # was trained frozen, and is large
        tree["train"] |= {"frozen": ["image_stem"], "keep_frozen_features": True}
        tree["data"] |= _STILL
    tree["data"]["max_words"] = min(tree["data"]["max_words"], theirs.max_tokens - 2)
    tree["generation"] = theirs.generation_defaults or tree["generation"]
    return changed(validate(tree, str(source)), overrides, str(source))


def _model(theirs: CheckpointConfig) -> dict[str, Any]:
    # a model of an earlier version lacks the fields that came later, and was built without
    image = ImageEncoderConfig().model_dump() | theirs.image_tower
    text = theirs.text_tower | {"vocab_size": theirs.vocab_size, "pretrained": None}
    if image["stem"] != "efficientnet-lite0":
        image["pretrained"] = None  # all weights are the model's
    return {
        "image_size": theirs.image_size,
        "image_encoder": image,
        "text_encoder": text,
        "share_parameters": theirs.share_parameters,
        "projection_width": theirs.projection_width,
        "standardise_projections": theirs.standardise_projections,
        "initializer_range": theirs.initializer_range,
    }
