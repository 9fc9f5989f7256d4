"""Model folders, in Hugging Face format, written and read without transformers."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load_file, save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from kia.errors import ModelError
from kia.models.configuration import CheckpointConfig

WEIGHTS = "model.safetensors"
Model = TypeVar("Model", bound=nn.Module)


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
        ModelError: A file is missing or damaged, or weights are.
    """
    try:
        config = CheckpointConfig.from_file(folder / "config.json")
        check_weights(folder)
        with NothingDrawn():
            model = kind(config)
        weights = load_file(folder / WEIGHTS)
    except ModelError:
        raise
    except Exception as error:
        # json, pydantic and safetensors raise many kinds; all mean an unusable folder
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"cannot load a kia model from {folder}: {reason}") from error
    own = model.state_dict()
    missing = sorted(own.keys() - weights.keys())
    if missing:
        raise ModelError(
            f"{folder}: {WEIGHTS} lacks {len(missing)} weights of config.json, such as {missing[0]}"
        )
    for name, value in own.items():
        if weights[name].shape != value.shape:
            raise ModelError(
                f"{folder}: {name} is {tuple(weights[name].shape)} in {WEIGHTS}, "
                f"{tuple(value.shape)} by config.json"
            )
    model.load_state_dict(weights, strict=False)
    return model.eval()


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
