"""Warm start: the weights of a whole kia model, for data with other words or image size."""

from pathlib import Path

import torch
from torch import Tensor

from kia.config import ImageEncoderConfig, TextEncoderConfig
from kia.errors import ConfigError, ModelError
from kia.files.regular import sha256
from kia.generation import load_model, model_folder
from kia.models import KIAModel
from kia.models.configuration import CheckpointConfig
from kia.models.image_encoder import resample_positions
from kia.models.pretrained import first_rows
from kia.processing import KIAProcessor

# of a tower or model, what may differ: weights fit it, or it concerns training alone
_FREE = {"dropout", "pretrained", "max_positions", "vocab_size"}


def weights_hash(source: Path) -> str:
    """SHA-256 of the weights of a run or model folder.

    Raises:
        ModelError: There are none.
    """
    file = model_folder(source) / "model.safetensors"
    try:
        return sha256(file)
    except OSError as error:
        raise ModelError(f"cannot read the weights of {source}: {error}") from error


def start_from(model: KIAModel, processor: KIAProcessor, source: Path) -> str:
    """Takes the weights of the model in `source` over, as far as they have a place.

    Word embeddings and the bias of the word head are matched by the string of each word piece;
    position embeddings of image patches are resampled to the new grid. New word pieces, further
    text positions and heads of tasks that `source` was not trained on stay as initialised.

    Args:
        model: Changed in place.
        processor: Of `model`.
        source: A run folder or model folder.

    Returns:
        What was taken over, in words.

    Raises:
        ModelError: `source` is no model.
        ConfigError: Its sizes differ from those of `model`.
    """
    theirs, their_processor = load_model(source)
    _check_sizes(model.config, theirs.config, source)
    ours, known = _shared_pieces(processor, their_processor)
    state, weights = model.state_dict(), theirs.state_dict()
    taken: dict[str, Tensor] = {}
    for name in state.keys() & weights.keys():
        value = weights[name]
        if name.endswith("tower.word.weight") or name == "word_prediction.bias":
            taken[name] = state[name].index_copy(0, ours, value[known])
        elif name.endswith("_tower.position"):
            taken[name] = resample_positions(value, model.config.grid)
        elif name.endswith("_tower.position.weight"):
            taken[name] = first_rows(state[name], value)
        else:
            taken[name] = value
    model.load_state_dict(taken, strict=False)
    return _described(model, theirs, source, len(ours), sorted(state.keys() - taken.keys()))


def _shared_pieces(ours: KIAProcessor, theirs: KIAProcessor) -> tuple[Tensor, Tensor]:
    """The numbers here and there of word pieces that both vocabularies have."""
    here, there = ours.word_pieces.get_vocab(), theirs.word_pieces.get_vocab()
    both = sorted(here.keys() & there.keys(), key=here.__getitem__)
    return torch.tensor([here[p] for p in both]), torch.tensor([there[p] for p in both])


def _check_sizes(ours: CheckpointConfig, theirs: CheckpointConfig, source: Path) -> None:
    """Names every setting that must change."""
    settings: dict[str, tuple[object, object]] = {}
    towers = (
        ("image_encoder", ImageEncoderConfig(), ours.image_tower, theirs.image_tower),
        ("text_encoder", TextEncoderConfig(), ours.text_tower, theirs.text_tower),
    )
    for key, default, own, other in towers:
        # a model of an earlier version lacks the fields that came later, and was built without
        here, there = (default.model_dump() | tower for tower in (own, other))
        for name in here.keys() - _FREE:
            settings[f"model.{key}.{name}"] = (here[name], there[name])
    for name in ("share_parameters", "projection_width", "standardise_projections"):
        settings[f"model.{name}"] = (getattr(ours, name), getattr(theirs, name))
    wrong = sorted(f"{name}={b}" for name, (a, b) in settings.items() if a != b)
    if wrong:
        raise ConfigError(f"{source} is built otherwise: --set {' --set '.join(wrong)}")


def _described(
    model: KIAModel,
    theirs: KIAModel,
    source: Path,
    known: int,
    new: list[str],
) -> str:
    pieces = model.config.vocab_size
    words = [f"started from {source}: it knows {known} of {pieces} word pieces"]
    if model.config.grid != theirs.config.grid:
        words.append(
            f"positions resampled from {theirs.config.grid}×{theirs.config.grid} patches to "
            f"{model.config.grid}×{model.config.grid}"
        )
    heads = sorted({name.partition(".")[0] for name in new})
    if heads:
        words.append(f"new: {', '.join(heads)}")
    if known < pieces and not model.text_tower.word.weight.requires_grad:
        words.append(
            f"the {pieces - known} new word pieces are frozen as initialised: take text_tower out "
            "of train.frozen, or the reports cannot use them"
        )
    return "; ".join(words)
