"""Model folders, in Hugging Face format, written and read without transformers."""

import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from kia.errors import ModelError
from kia.files.tensors import WEIGHTS as WEIGHT_TYPES
from kia.files.tensors import StoredTensor, read_header
from kia.models.configuration import CheckpointConfig

WEIGHTS = "model.safetensors"
MOST_PARAMETERS = 4 * 10**9
"""16 GB in float32."""
MOST_MISSING = 5 * 10**7
"""Weights that transformers may draw where a folder has none."""
Model = TypeVar("Model", bound=nn.Module)
_HEADS = ("pixel_prediction.", "match_prediction.", "image_projection.", "text_projection.")
"""Of tasks; a model may be left without."""


def save_folder(model: nn.Module, config: CheckpointConfig, folder: Path) -> None:
    """Writes config.json, generation_config.json and model.safetensors, as transformers does.

    Args:
        model: Whose parameters are of one type.
        config: Of the model.
        folder: Made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "architectures": ["KIAForReportGeneration"],
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "model_type": "kia",
        "transformers_version": version("transformers"),
    }
    _write_json(folder / "config.json", config.to_dict() | about)
    _write_json(
        folder / "generation_config.json",
        {
            "_from_model_config": True,
            "bos_token_id": config.start_token_id,
            "eos_token_id": config.eos_token_id,
            "pad_token_id": config.pad_token_id,
            "transformers_version": about["transformers_version"],
        },
    )
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_folder(kind: type[Model], folder: Path) -> Model:
    """Builds the model of a folder with its weights, in float32 and evaluation mode.

    Weights are read from safetensors alone, and no code that lies beside them is run.

    Args:
        kind: What is built, of a configuration alone.
        folder: Of the model.

    Raises:
        ModelError: A file is missing or damaged, or weights are; before memory is taken for them.
    """
    config = check_folder(kind, folder)
    try:
        with NothingDrawn():
            model = kind(config)
    except (RuntimeError, MemoryError) as error:  # torch's own, of memory that is not there
        raise _unusable(folder, str(error)) from error
    load_weights(model, folder)
    return model.eval()


def load_weights(model: nn.Module, folder: Path) -> None:
    """Takes the weights of a folder over.

    Args:
        model: Whose weights these are, by name and shape; changed in place.
        folder: Of the model.

    Raises:
        ModelError: They cannot be read, or no model works with them.
    """
    try:
        take_weights(model.state_dict(), folder / WEIGHTS)
    except (OSError, ValueError, MemoryError, SafetensorError) as error:
        raise _unusable(folder, f"{WEIGHTS}: {error}") from error


def take_weights(own: Mapping[str, Tensor], file: Path) -> None:
    """Copies the tensors of a safetensors file into these, by name and shape.

    Raises:
        OSError: It cannot be opened.
        ValueError: Its header or a tensor is not what is wanted.
        SafetensorError: It is damaged.
    """
    _check_header(read_header(file), own, partial=False)
    with safe_open(file, framework="pt") as weights, torch.no_grad():
        for name, value in own.items():
            stored = weights.get_tensor(name)
            check_tensor(name, stored)
            value.copy_(stored)


def check_folder(kind: type[nn.Module], folder: Path, *, partial: bool = False) -> CheckpointConfig:
    """The configuration of a folder, whose weights are those that it asks for, by their header.

    Args:
        kind: What will be built of the configuration.
        folder: Of the model.
        partial: Whether weights may be missing, or more than are needed, as transformers allows.

    Raises:
        ModelError: A file cannot be read, or the weights have other names, shapes or types.
    """
    check_weights(folder)
    try:
        config = CheckpointConfig.from_file(folder / "config.json")
        header = read_header(folder / WEIGHTS)
        blocks = config.image_tower["depth"] + config.text_tower["depth"]
        if blocks > len(header) and not partial:  # a few bytes shall not build hundreds of blocks
            raise ValueError(f"{WEIGHTS} lacks weights for the {blocks} blocks of config.json")
        _check_header(header, _expected(kind, config), partial=partial)
    except OSError as error:
        raise _unusable(folder, f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise _unusable(folder, str(error)) from error
    return config


def _expected(kind: type[nn.Module], config: CheckpointConfig) -> dict[str, Tensor]:
    """What a configuration asks for, without memory for it."""
    with torch.device("meta"), NothingDrawn():
        return kind(config).state_dict()


def _check_header(
    header: dict[str, StoredTensor], expected: Mapping[str, Tensor], *, partial: bool
) -> None:
    missing = sorted(expected.keys() - header.keys())
    more = sorted(n for n in header.keys() - expected.keys() if not n.startswith(_HEADS))
    if missing and not partial:
        raise ValueError(f"{WEIGHTS} lacks {len(missing)} weights of config.json: {missing[0]} …")
    if more and not partial:
        raise ValueError(f"{WEIGHTS} has {len(more)} weights beyond config.json: {more[0][:80]} …")
    for name, value in expected.items():
        if name in header:
            _check_stored(name, header[name], value)
    for names, most in ((expected, MOST_PARAMETERS), (missing, MOST_MISSING)):
        if (total := sum(expected[name].numel() for name in names)) > most:
            raise ValueError(f"config.json asks for {total:,} weights, of at most {most:,}")


def _check_stored(name: str, stored: StoredTensor, value: Tensor) -> None:
    shape, wanted = tuple(stored.shape), tuple(value.shape)
    if shape != wanted:
        raise ValueError(f"{name} is {shape} in {WEIGHTS}, {wanted} by config.json")
    is_count = not value.is_floating_point()  # of the batches that a norm has seen
    if stored.dtype not in WEIGHT_TYPES and not (is_count and stored.dtype == "I64"):
        raise ValueError(f"{name} is of the type {stored.dtype}, not {', '.join(WEIGHT_TYPES)}")


def check_tensor(name: str, value: Tensor) -> None:
    """Refuses weights with which no model works.

    Raises:
        ValueError: They are not finite; a matrix is all zeros, as in a file that was not written to
            its end; or a variance is negative.
    """
    if not value.numel():
        return
    low, high = (end.item() for end in value.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{name} is not finite (NaN or infinite): the model cannot work")
    if value.ndim > 1 and low == high == 0 and value.numel() > 1 and name.endswith(".weight"):
        raise ValueError(f"{name} is all zeros: the file was not written, or loaded, to its end")
    if name.endswith("running_var") and low < 0:
        raise ValueError(f"{name} is a negative variance")


def _unusable(folder: object, reason: str) -> ModelError:
    return ModelError(f"cannot load a kia model from {folder}: {' '.join(reason.split())[:300]}")


def check_values(model: nn.Module, folder: object) -> None:
    """Refuses a model with weights with which none works.

    Raises:
        ModelError: See `check_tensor`.
    """
    try:
        for name, value in model.state_dict().items():
            check_tensor(name, value)
    except ValueError as error:
        raise _unusable(folder, str(error)) from error


class NothingDrawn(TorchFunctionMode):
    """Modules are built without random numbers, for weights that come from a file or not at all.

    Drawing on torch's "meta" device, which takes no time either, imports its compiler: a second.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(function, "__name__", "") in _DRAWING:
            return None
        return function(*args, **(kwargs or {}))


_DRAWING = {"normal_", "uniform_", "kaiming_uniform_"}


def check_weights(folder: Path) -> None:
    """Refuses a folder without safetensors in one line, which says so where it has pickles.

    Raises:
        ModelError: There are none.
    """
    if any(folder.glob("model*.safetensors")):
        return
    kinds = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
    pickles = ", ".join(sorted(f.name for f in folder.iterdir() if f.suffix in kinds))
    reason = f"pickles are not read: {pickles}; " if pickles else ""
    raise ModelError(
        f"{folder} has no {WEIGHTS} ({reason}save the model again with save_pretrained)"
    )
